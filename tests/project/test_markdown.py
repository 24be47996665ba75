"""Markdown files: their code runs, their commands exist, and their links lead somewhere."""

import re
import shlex
import subprocess
import sys
import tomllib
from itertools import groupby
from typing import NamedTuple

import pytest
from library import ROOT, tracked_files, without_coverage

from multispin_gym import list_scenarios
from multispin_gym.baselines import list_controllers, list_estimators

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")


class Block(NamedTuple):
    file: str
    line: int
    language: str
    text: str


def blocks(*languages):
    for path in tracked_files("*.md"):
        text = path.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            if found["language"] in languages:
                yield Block(path.relative_to(ROOT).as_posix(), line, found["language"], found["text"])


def label(value):
    return f"{value.file}:{value.line}" if isinstance(value, Block) else None


def run(*words, cwd):
    command, environment = [sys.executable, *words], without_coverage()
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def write_named_files(folder):
    """Write the files that a reader is told to make: blocks that open with a comment of their name."""
    for block in blocks("toml"):
        name = re.match(r"#\s*(\w[\w.-]*\.toml)\s*$", block.text.splitlines()[0])
        if name:
            (folder / name[1]).write_text(block.text)


@pytest.mark.slow
@pytest.mark.parametrize("block", list(blocks("python")), ids=label)
def test_python_blocks_run(block, tmp_path):
    write_named_files(tmp_path)
    (tmp_path / "block.py").write_text(block.text)
    finished = run("block.py", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("block", list(blocks("toml")), ids=label)
def test_toml_blocks_parse(block):
    assert tomllib.loads(block.text)


def commands():
    """Every command of the shell blocks, continued lines joined and lists of commands taken apart, as words."""
    for block in blocks("bash", "sh", "console", "shell"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            for connective, command in groupby(words, "&&".__eq__):
                if not connective:
                    yield block, list(command)


def script_commands():
    for block, words in commands():
        if words[0].startswith("python") and len(words) > 1 and words[1].endswith(".py"):
            yield pytest.param(words[1], words[2:], id=f"{label(block)}-{words[1]}")


SCRIPTS = sorted({command.values[0] for command in script_commands()})


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_commands_name_scripts_and_options_that_exist(script):
    finished = run(script, "--help", cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    known = set(re.findall(r"--[a-z][\w-]*", finished.stdout))
    for command in script_commands():
        named, words = command.values
        if named == script:
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, command.id


@pytest.mark.parametrize(("script", "words"), list(script_commands()))
def test_commands_name_scenarios_and_policies_that_exist(script, words, tmp_path):
    write_named_files(tmp_path)
    scenarios = {"default", *list_scenarios(), *(path.name for path in tmp_path.iterdir())}
    options = {}
    for word in words:
        if word.startswith("--"):
            option, _, value = word.partition("=")
            options[option] = value.split()
        elif options:
            options[option].append(word)
    assert set(options.get("--scenario", [])) <= scenarios
    # A policy is a controller's name, or something with a folder or a source in it: a trained agent.
    known = {*list_controllers(), *list_estimators()}
    assert {p for p in options.get("--policies", []) if not re.search("[/:]", p)} <= known


def installs():
    return [words for _, words in commands() if "pip" in words and "install" in words]


@pytest.mark.parametrize("words", installs(), ids=" ".join)
def test_install_commands_name_extras_and_files_that_exist(words):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        if named := re.search(r"\[([\w,]+)\]", word):
            assert set(named[1].split(",")) <= set(extras)
    if "-c" in words:
        assert (ROOT / words[words.index("-c") + 1]).is_file()


def test_documented_test_command_is_the_one_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text()
    (command,) = re.findall(r"^step (python -m pytest.*)$", ci, re.MULTILINE)
    for file in ("README.md", "CONTRIBUTING.md"):
        documented = {" ".join(words) for block, words in commands() if block.file == file and "pytest" in words}
        assert documented == {command}


def anchors(path):
    """Names that a hosting site gives to the headings of a file."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links():
    for path in tracked_files("*.md"):
        for found in LINK.finditer(FENCE.sub("", path.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:", found["target"]):
                yield pytest.param(path, found["target"], id=f"{path.relative_to(ROOT).as_posix()}-{found['target']}")


@pytest.mark.parametrize(("source", "target"), list(links()))
def test_links_between_files_lead_to_files_and_headings(source, target):
    file, _, anchor = target.partition("#")
    path = (source.parent / file).resolve() if file else source
    assert path.exists()
    assert path.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(path)

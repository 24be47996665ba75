"""The index of the benchmarks has every script, and its commands and those of the guides name options that exist."""

import ast
import re
import shlex

import pytest
from library import ROOT

SCRIPTS = {
    path.relative_to(ROOT / "benchmarks").as_posix(): path.read_text()
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
}
INDEX = ROOT / "benchmarks" / "README.md"
PAGES = [INDEX, ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fields(text):
    """Names that are annotated in the classes of a module."""
    classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    return {part.target.id for node in classes for part in node.body if isinstance(part, ast.AnnAssign)}


SHARED = fields((ROOT / "benchmarks" / "_study.py").read_text())


def commands():
    for page in PAGES:
        for command in re.findall(r"`(python benchmarks/[^`]+)`", page.read_text(encoding="utf-8")):
            yield pytest.param(*shlex.split(command)[1:2], shlex.split(command)[2:], id=f"{page.name}: {command}")


def test_every_script_has_a_line_in_the_index():
    listed = re.findall(r"^\| `([\w/]+\.py)` \|", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted([*listed, "release_probe.py", "client_probe.py"]) == sorted(SCRIPTS)


@pytest.mark.parametrize(("script", "words"), list(commands()))
def test_commands_name_scripts_and_options_that_exist(script, words):
    known = SHARED | fields(SCRIPTS[script.removeprefix("benchmarks/")])
    assert {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")} <= known | {"help"}
    if "--output" in words:
        output = ROOT / words[words.index("--output") + 1]
        assert output.exists() or output.is_relative_to(ROOT / "results")

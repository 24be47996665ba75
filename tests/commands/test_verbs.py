"""``multispin``: one page of help, one row a verb, and the functions of the two scripts behind it."""

import importlib
import os
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from library import ROOT

from multispin_gym.commands import VERBS, main


def run(*words):
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("args", [["--help"], ["-h"], []])
def test_help_is_one_readable_page_with_every_verb(args, capsys):
    assert main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 25
    assert max(map(len, lines)) <= 100
    for verb in VERBS:
        assert [line.split()[1:] for line in lines if line.split()[:1] == [verb.name]] == [verb.summary.split()]


def test_an_unknown_verb_names_the_nearest(capsys):
    assert main(["evalaute", "--help"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "got 'evalaute'. Did you mean 'evaluate'?" in printed.err


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"multispin {metadata.version('multispin-gym')}\n"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_explains_itself_under_its_own_name(verb, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([verb.name, "--help"])
    assert leaving.value.code in (None, 0)
    assert capsys.readouterr().out.startswith(f"usage: multispin {verb.name} ")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_refuses_an_unknown_option_with_a_status_and_its_name(verb, capsys):
    try:
        status = main([verb.name, "--no-such-option"])
    except SystemExit as leaving:
        status = leaving.code
    assert status in (1, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"multispin {verb.name}" in printed.err


def test_a_reader_that_goes_away_is_no_traceback(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        assert main(["list"]) == 1
        print("what is still to come goes nowhere", flush=True)


def test_the_script_is_the_function_that_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"multispin"}
    module, _, function = scripts["multispin"].partition(":")
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "start"),
    [
        ("multispin_gym", "usage: multispin VERB"),
        ("multispin_gym.evaluation.cli", "usage: python -m multispin_gym.evaluation.cli "),
        ("multispin_gym.agents.cli", "usage: python -m multispin_gym.agents.cli "),
        ("multispin_gym.agents.tune", "usage: python -m multispin_gym.agents.tune "),
    ],
)
def test_modules_run_as_commands(module, start):
    done = run("-m", module, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(start)


def test_the_scripts_and_the_verb_write_the_same_numbers(tmp_path, capsys):
    from multispin_gym.evaluation.cli import main as evaluate

    words = ["--policies", "uniform_best", "--num-users", "2", "--episodes", "2", "--rounds", "2", "--output"]
    assert main(["evaluate", *words, str(tmp_path / "verb")]) == 0
    assert evaluate([*words, str(tmp_path / "script")]) == 0
    capsys.readouterr()
    csv, json = (
        [(tmp_path / who / f"results.{kind}").read_text() for who in ("verb", "script")] for kind in ("csv", "json")
    )
    assert csv[0] == csv[1]
    assert '"command": "multispin evaluate --policies' in json[0]
    assert '"command": "python evaluate.py --policies' in json[1]


@pytest.mark.slow
def test_training_by_the_verb_plays_the_changed_cell(tmp_path, capsys):
    from multispin_gym.agents import load_agent

    words = ["--num-users", "2", "--total-timesteps", "1", "--ppo.num-envs", "8", "--eval-cells", "4", "--no-progress"]
    words += ["--ppo.batch-size", "32"]
    words += ["--cloning.num-cells", "0", "--policy.width", "8", "--policy.critic-width", "8"]
    changes = ["--set", "cell.bandwidth=5e6", "--set", "cell.max_draft_length=3"]
    folder = str(tmp_path / "run")
    assert main(["train", *words, *changes, "--run-dir", folder]) == 0
    cell = load_agent(folder).spec.cell
    assert (cell.bandwidth, cell.max_draft_length) == (5e6, 3)
    assert main(["train", "--run-dir", folder, "--resume", "--set", "cell.bandwidth=4e6"]) == 2
    assert "set cannot change when a run is resumed" in capsys.readouterr().err
    assert main(["train", "--run-dir", folder, "--resume"]) == 0
    assert main(["train", "--run-dir", str(tmp_path / "other"), "--set", "cell.bandwith=4e6"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("multispin train: error: cell.bandwith is not a key of [cell]")
    assert "Did you mean 'bandwidth'?" in printed


@pytest.mark.parametrize(
    ("call", "library", "extra"),
    [
        ("multispin_gym.commands.verbs:main(['evaluate'])", "tyro", "report"),
        ("multispin_gym.commands.verbs:main(['sweep'])", "tyro", "report"),
        ("multispin_gym.commands.verbs:main(['train'])", "tyro", "train"),
        ("multispin_gym.commands.verbs:main(['train'])", "torch", "train"),
        ("multispin_gym.agents.tune:main([])", "optuna", "search"),
    ],
)
def test_where_a_library_is_missing_one_line_says_which_extra_brings_it(call, library, extra, tmp_path):
    # None in the place of a module is a module that cannot be found.
    module, _, main_of = call.partition(":")
    script = f"import sys; sys.modules[{library!r}] = None; import {module} as verb; sys.exit(verb.{main_of})"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode > 0, done.stdout, list(tmp_path.iterdir())) == (True, "", [])
    assert done.stderr.endswith(f"error: {library} is not installed: pip install 'multispin-gym[{extra}]'\n")
    assert done.stderr.count("\n") == 1

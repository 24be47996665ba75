"""The README shows what its commands make, and every controller there is."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from typing import Any

from library import ROOT

from multispin_gym.baselines import list_controllers

RENDER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "render_readme.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULT = json.loads((ROOT / "docs" / "results" / "quickstart" / "results.json").read_text(encoding="utf-8"))


def first_block():
    found = re.search(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].splitlines()


def test_readme_shows_the_stored_result():
    assert RENDER["render"](README, RESULT) == README, "run python docs/render_readme.py"


def test_stored_result_was_made_by_the_documented_command():
    main_job, _ = first_block()
    assert shlex.split(RESULT["command"]) == shlex.split(main_job.rpartition("&&")[2])


def test_stored_result_raised_no_alarm_and_agrees_with_its_intervals():
    assert RESULT["alarms"] == {}
    for estimates in RESULT["policies"].values():
        for estimate in estimates.values():
            low, high = estimate["ci95"]
            assert low <= estimate["mean"] <= high


def test_first_block_is_two_commands_that_each_set_up_their_own_environment():
    for command, extra in zip(first_block(), ("train", "dev"), strict=True):
        steps = [shlex.split(step) for step in command.split("&&")]
        assert steps[0] == ["python3", "-m", "venv", ".venv"]
        assert steps[2] == ["pip", "install", "-c", "constraints.txt", "-e", f".[{extra}]"]


def test_every_controller_stands_in_the_table():
    section = README.partition("## The controllers")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list_controllers()


def test_round_in_the_readme_is_what_its_code_prints(tmp_path):
    code, picture = re.search(r"```python\n([^`]*)```\n[^`]*```text\n([^`]*)```", README).groups()
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == picture.strip()

"""Commands that are killed go on to the files of undisturbed ones; and a difference does not go unseen."""

import json
import re

import pytest
from library import ROOT

pytestmark = pytest.mark.slow


FILE = "kill at a file"


@pytest.fixture(scope="module")
def whole():
    """What is known of undisturbed runs, by their commands."""
    return {}


@pytest.fixture
def disturb(benchmark, whole):
    """Disturb a command before the n-th time that it puts a file in its place, and say what came of it."""
    kill = benchmark("_kill")

    def disturb(command, number, gently=False):
        if command not in whole:
            whole[command] = kill.undisturbed(command)
        disturbance = kill.Disturbance(before_replace=number, gently=gently)
        return kill.disturb(command, disturbance, whole[command]["files"])["outcome"]

    return disturb


# Of a training: the configuration; then state, weights and evaluations at every other of four updates. Of seeds: the
# summary, each seed, the summary. Of a search: a training of one update, and the two files of the study, for each
# trial. Of an evaluation: two parts of the reference, two policies, and the results as table, picture and JSON.
@pytest.mark.parametrize(
    ("command", "number", "outcome"),
    [
        ("training", 1, "refused, then started anew"),
        ("training", 9, "resumed"),
        ("cloning", 2, "resumed"),
        ("seeds", 13, "resumed"),
        ("search", 18, "resumed"),
        ("evaluation", 4, "resumed"),
        ("evaluation", 6, "resumed"),
    ],
)
def test_what_was_killed_goes_on_to_the_files_of_an_undisturbed_run(disturb, command, number, outcome):
    assert disturb(command, number) == outcome


def test_what_was_interrupted_as_its_last_update_was_kept_does_too(disturb):
    assert disturb("search", 14, gently=True) == "resumed"


def test_the_study_counts_what_came_of_each_kill(benchmark, tmp_path, capsys):
    kills = benchmark("kills")
    arguments = ["--commands", "target", "--points", "2", "--instants", "1", "--interrupts", "1"]
    assert kills.main([*arguments, "--output", str(tmp_path)]) == 0
    page = (tmp_path / "kills.md").read_text()
    assert capsys.readouterr().out.strip() in page
    report = json.loads((tmp_path / "kills.json").read_text())
    assert [(result["how"], result["number"]) for result in report["results"]] == [
        (how, number) for how in (FILE, "interrupt at a file") for number in (1, 4)
    ]
    # Without the weights of the last checkpoint, whose state is there.
    report["results"][1].update(outcome="resumed, and other files", details="run/policy.safetensors")
    assert re.search(r"^\| target \| kill at a file \| 2 \| 0 \| 0 \| 1 \| 0 \| 1 \|$", kills.page(report), re.M)
    assert "target, kill at a file 4: resumed, and other files; run/policy.safetensors" in kills.page(report)


def test_the_published_page_follows_from_its_figures_which_are_all_well(benchmark):
    kills = benchmark("kills")
    report = json.loads((ROOT / "docs" / "results" / "kills" / "kills.json").read_text())
    assert (ROOT / "docs" / "results" / "kills" / "kills.md").read_text() == kills.page(report)
    assert {result["outcome"] for result in report["results"]} <= set(kills.KEPT[:3])
    for name, entry in report["commands"].items():
        found = [entry["number"] for entry in report["results"] if (entry["command"], entry["how"]) == (name, FILE)]
        assert sorted(found) == list(range(1, entry["replaces"] + 1))


def test_a_leftover_and_another_byte_are_seen_and_seconds_are_not(benchmark, tmp_path):
    kill = benchmark("_kill")
    (tmp_path / "evaluations.csv").write_text("timesteps,seconds,ratio\n0,1.5,0.5\n")
    (tmp_path / "seeds.json").write_text('{"seeds": {"0": {"seconds": 1.5, "ratio": 0.5}}}')
    before = kill.comparable(tmp_path)
    assert sorted(before) == ["evaluations.csv", "seeds.json"]
    (tmp_path / "evaluations.csv").write_text("timesteps,seconds,ratio\n0,2.5,0.5\n")
    (tmp_path / "seeds.json").write_text('{"seeds": {"0": {"seconds": 2.5, "ratio": 0.5}}}')
    assert kill.comparable(tmp_path) == before
    (tmp_path / "evaluations.csv").write_text("timesteps,seconds,ratio\n0,2.5,0.6\n")
    assert kill.comparable(tmp_path)["evaluations.csv"] != before["evaluations.csv"]
    (tmp_path / ".seeds.json.0123abcd.tmp").write_text("{")
    assert ".seeds.json.0123abcd.tmp" in kill.comparable(tmp_path)


def test_a_command_that_ends_otherwise_than_an_undisturbed_one_is_told(benchmark):
    kill = benchmark("_kill")
    expected = kill.undisturbed("target")["files"]
    at_last = kill.Disturbance(before_replace=4)
    for other in ({**expected, "run/policy.safetensors": "0"}, {**expected, "run/policy": "0"}):
        found = kill.disturb("target", at_last, other)
        assert found["outcome"] == "resumed, and other files"
        assert found["details"] in ("run/policy.safetensors", "run/policy")

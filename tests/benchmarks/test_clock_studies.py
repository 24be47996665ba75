"""The studies of tasks in which time passes: their numbers are the evaluation's."""

import json

import pytest
from library import ROOT

from multispin_gym.evaluation import evaluate

pytestmark = pytest.mark.slow

DEADLINE = "multispin_gym/MultiSpinDeadline-v0"


@pytest.fixture
def clock_study(benchmark, monkeypatch):
    """Import a study as its command does."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark


def test_the_first_tables_are_what_an_evaluation_says(clock_study, tmp_path, capsys):
    study = clock_study("first_tables")
    assert study.main(["--tasks", DEADLINE, "--episodes", "2", "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "first_tables.json").read_text())["tasks"][DEADLINE]
    again = evaluate({"fixed_bw_l": "fixed_bw_l"}, env_id=DEADLINE, episodes=2, seed=1000).to_dict()
    assert found["policies"]["fixed_bw_l"] == again["policies"]["fixed_bw_l"]
    assert found["server_only"] == again["server_only"]
    printed = capsys.readouterr().out
    mean = found["policies"]["fixed_bw_l"]["goodput"]["mean"]
    assert f"{mean:.4g}" in printed
    assert printed.startswith((tmp_path / "first_tables.md").read_text())
    assert (tmp_path / "deadline.png").read_bytes().startswith(b"\x89PNG")


def test_reference_loads_are_of_cells_in_which_nobody_waits(clock_study, tmp_path):
    study = clock_study("reference_load")
    assert study.main(["--scenarios", "deadline", "--episodes", "2", "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "reference_load.json").read_text())["scenarios"]["deadline"]
    # Two episodes tell it roughly.
    assert found["reference_goodput"]["mean"] == pytest.approx(86.0, rel=0.25)
    scenario = study.saturated(study.load_scenario("serve"))
    clock = scenario.clock
    assert (clock.requests.arrivals, clock.requests.slack) == ("replaced", None)
    assert (clock.cutoff, clock.report_age, clock.report_noise_db) == (False, 0.0, 0.0)
    with pytest.raises(ValueError, match="scenarios must have requests in their clock, got 'stale'"):
        study.saturated(study.load_scenario("stale"))


def test_speeds_are_measured_for_every_form_and_stages_are_parts_of_a_step(clock_study, tmp_path):
    study = clock_study("speed")
    assert study.main(["--seconds", "0.02", "--envs", "1", "2", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    assert {(row["id"], row["actions"]) for row in report["rows"]} == {
        (env_id, kind) for env_id in study.IDS for kind in ("random", "short drafts")
    }
    for row in report["rows"]:
        assert list(row["steps_per_second"]) == ["single", "native x 1", "native x 2"]
        assert min(row["steps_per_second"].values()) > 0.0
    assert all(0.0 <= share < 1.0 for share in report["stages"].values())
    # Observations and info are made in resets, too.
    outer = sum(report["stages"][stage] for stage in study.STAGES)
    assert 0.8 < outer < 1.5

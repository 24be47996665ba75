"""The sweep over ages, coherence times and noise of reports."""

import dataclasses
import json
import math

import numpy as np
import pytest
from library import ROOT

from multispin_gym import load_scenario
from multispin_gym.evaluation import evaluate

STALE = "multispin_gym/MultiSpinStale-v0"


@pytest.fixture
def sweep(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("stale_sweep")


def test_cells_have_the_correlations_that_they_are_called_by(sweep):
    clock = load_scenario("stale").clock
    found = sweep.cells((0.9, 0.5), (3.0,))
    assert found.pop("the scenario") == {}
    assert found.pop("noise 3 dB") == {"report_noise_db": 3.0}
    assert len(found) == 4
    for name, changes in found.items():
        changed = dataclasses.replace(clock, **changes)
        rho = math.exp(-changed.report_age / changed.coherence_time)
        assert rho == pytest.approx(float(name.split()[1].rstrip(",")))


@pytest.mark.slow
def test_every_rule_is_compared_with_who_knows_the_channels(sweep, tmp_path, capsys):
    command = ["--correlations", "0.7", "--noises", "--episodes", "2", "--trials", "1", "--output", str(tmp_path)]
    assert sweep.main(command) == 0
    report = json.loads((tmp_path / "stale_sweep.json").read_text())
    assert set(report["cells"]) == {"the scenario", "correlation 0.7, by age", "correlation 0.7, by coherence"}
    text = (tmp_path / "stale_sweep.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    scenario = load_scenario("stale")
    changed = dataclasses.replace(scenario.clock, report_age=-2.0 * math.log(0.7))
    played = evaluate(
        {"a": "mean_heterogeneous", "b": "heterogeneous"},
        dataclasses.replace(scenario, clock=changed),
        env_id=STALE,
        episodes=2,
        seed=1000,
    ).policies
    goodput = {name: played[name].goodput for name in "ab"}
    rows = report["cells"]["correlation 0.7, by age"]
    assert rows["mean_heterogeneous"]["returns"] == goodput["a"].tolist()
    loss = 1.0 - np.mean(goodput["a"]) / np.mean(goodput["b"])
    assert rows["mean_heterogeneous"]["loss"]["mean"] == pytest.approx(loss)
    assert f"{loss:.1%}" in text

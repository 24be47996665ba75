"""Regret of bandits over the draft length: counted as it is defined, and in the published order."""

import json

import numpy as np
import pytest
from library import ROOT


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("bandit_regret")


OPTIONS = {
    "delays": (0.04, 0.12),
    "switching": 0.1,
    "drafting": 0.015,
    "verification": 0.03,
    "rounds": 1000,
    "rows": 50,
    "seed": 3,
}


def test_who_only_tries_at_random_loses_the_mean_of_all_lengths(study):
    survival = (0.6, 0.3, 0.1)
    found = study.play(survival, study.Policy(0.0, tries=1.0), OPTIONS)
    seconds = study.seconds_of(OPTIONS, 3)
    np.testing.assert_allclose(seconds, [[0.085, 0.1, 0.115], [0.165, 0.18, 0.195]])
    tokens = np.array([1.6, 1.9, 2.0])
    lost = seconds - (seconds / tokens).min(axis=1, keepdims=True) * tokens
    assert (lost >= 0.0).all()
    assert found["regret"].keys() == {250, 500, 1000}
    for rounds, regret in found["regret"].items():
        assert regret == pytest.approx(rounds * lost.mean(), rel=0.03)
    assert np.mean(found["last"]) == pytest.approx(found["regret"][1000])
    np.testing.assert_allclose(found["pulls"], 1 / 3, atol=0.01)


def test_growth_tells_a_logarithm_from_a_line(study):
    rounds = [str(250 * 2**power) for power in range(7)]
    assert study.growth({number: 3.0 * float(number) for number in rounds}) == pytest.approx(4.0)
    assert study.growth({number: np.log(float(number)) for number in rounds}) == pytest.approx(1.0)


def test_the_bonus_as_printed_is_nearly_greedy_and_random_tries_lose_less(study, tmp_path, monkeypatch):
    pair = "Llama-3.2-1B / 8B"
    monkeypatch.setattr(study, "PAIRS", {pair: study.PAIRS[pair]})
    assert study.main(["--rounds", "4000", "--rows", "60", "--output", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "bandit_regret.json").read_text())["pairs"][pair]
    lost = {name: np.mean(row["last"]) for name, row in rows.items()}
    assert lost["as printed, times in ms"] == pytest.approx(lost["greedy"], rel=0.1)
    assert lost["epsilon-greedy, 0.05"] < 0.7 * lost["as printed, times in ms"]
    grown = {name: study.growth(row["regret"]) for name, row in rows.items()}
    assert grown["greedy"] > 3.5 > grown["bonus scaled by the range, 0.3"]
    assert "| Llama-3.2-1B / 8B | greedy |" in (tmp_path / "bandit_regret.md").read_text()
    assert (tmp_path / "bandit_regret.png").read_bytes().startswith(b"\x89PNG")


def test_too_few_rounds_are_refused(study, tmp_path, capsys):
    assert study.main(["--rounds", "100", "--output", str(tmp_path)]) == 1
    assert "rounds must lie in [4000, inf)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

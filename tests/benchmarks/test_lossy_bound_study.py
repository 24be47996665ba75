"""The study of plans beside a bound: the rules' own expectations, in parts of a bound that none of them passes."""

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
from library import ROOT

from multispin_gym import load_scenario
from multispin_gym.baselines import make_estimator
from multispin_gym.envs.variants import STALE


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("lossy_bound")


def test_rounds_are_those_that_rules_decide_in(study):
    scenario = dataclasses.replace(load_scenario("stale"), num_users=3)
    rounds, decisions = study.seen_round(scenario, 0, 5)
    env = gym.make_vec(STALE.id, 1, vectorization_mode="vector_entry_point", scenario=scenario).unwrapped
    observation, info = env.reset(seed=5)
    rule = make_estimator("stochastic_programme", scenario, horizon="round")
    rule.reset(observation, info)
    own = rule.decide(observation, info)
    plan = study.planned(rounds, decisions["stochastic programme, round"], 5.0)
    assert (plan.lengths == own.draft_lengths).all()
    assert plan.cutoff == own.cutoff
    # What the rule expects of its decision is what the study expects of it.
    np.testing.assert_allclose(plan.expected.tokens, rule.expected.tokens)
    np.testing.assert_allclose(plan.expected.seconds, rule.expected.seconds)
    # Reports are believed without a cut-off: it is the last.
    assert study.planned(rounds, decisions["believes the reports"], 5.0).cutoff == 5.0
    later = study.seen_round(scenario, 2, 5)[0]
    assert (later.tokens == rounds.tokens).all()
    assert (later.law.below != rounds.law.below).any()


def test_parts_are_summed_up_by_hand(study):
    rows = [{"parts": dict.fromkeys(study.RULES, part)} for part in (0.9, 0.95, 0.97)]
    for found in study.summary(rows, 0).values():
        assert found["median"] == 0.95
        assert found["worst"] == 0.9
        assert found["mean"] == pytest.approx(0.94)


@pytest.mark.slow
def test_the_study_writes_parts_of_a_bound(study, tmp_path, capsys):
    options = ["--num-users", "2", "--episodes", "2", "--after", "2", "--boxes", "30", "--shares", "24"]
    assert study.main([*options, "--output", str(tmp_path)]) == 0
    (cell,) = json.loads((tmp_path / "lossy_bound.json").read_text())["cells"].values()
    assert len(cell["rounds"]) == 2
    parts = np.array([list(row["parts"].values()) for row in cell["rounds"]])
    assert ((parts > 0.3) & (parts < 1.0)).all()
    first, *others = parts.T
    assert all((first > other - 1e-3).all() for other in others)
    assert cell["rules"]["stochastic programme, round"]["worst"] == first.min()
    text = (tmp_path / "lossy_bound.md").read_text()
    assert text in capsys.readouterr().out
    assert f"| 2 users | stochastic programme, round | {np.median(first):.1%} | {first.min():.1%} |" in text

"""The study of what careful rules leave: tuned where it says, played as an evaluation plays, compared by hand."""

import dataclasses
import json

import numpy as np
import pytest
from library import ROOT

from multispin_gym import load_scenario
from multispin_gym.evaluation import evaluate

HIDDEN = "multispin_gym/MultiSpinHidden-v0"


@pytest.fixture
def headroom(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("headroom")


def opponent(headroom, **changes):
    return headroom.Opponent(**{"label": "mine", "name": "uniform_fixed", "knows": "nothing", **changes})


def test_trials_are_all_combinations_or_as_many_as_are_allowed(headroom):
    rule = opponent(headroom, grid={"a": (1, 2, 3), "b": (4, 5)})
    every = rule.trials(6, 0)
    assert every == [{"a": a, "b": b} for a in (1, 2, 3) for b in (4, 5)]
    some = rule.trials(4, 0)
    assert len(some) == 4
    assert all(choice in every for choice in some)
    assert some == rule.trials(4, 0)
    assert opponent(headroom).trials(6, 0) == [{}]


def test_a_rule_is_played_in_its_own_clock(headroom):
    scenario = load_scenario("deadline")
    assert opponent(headroom, clock={"admission": True}).scenario(scenario).clock.admission
    assert opponent(headroom).scenario(scenario) is scenario


@pytest.mark.slow
def test_a_rule_is_tuned_on_validation_seeds_and_played_on_others(headroom, monkeypatch):
    rule = opponent(headroom, grid={"draft_length": (1, 3, 5)})
    monkeypatch.setattr(headroom, "opponents_of", lambda task: {"mine": rule})
    options = {
        "scenario": None, "num_users": None, "trials": 12, "validation_episodes": 2, "validation_seed": 70,
        "episodes": 2, "seed": 5, "batch": 4, "references": {},
    }  # fmt: skip
    found = headroom.measure("hidden", "mine", options)
    returns = {}
    for length in (1, 3, 5):
        played = evaluate({"mine": rule.player(load_scenario("hidden"), {"draft_length": length}).policy},
                          env_id=HIDDEN, episodes=2, seed=70)  # fmt: skip
        returns[length] = float(played.policies["mine"].returns.mean())
    assert {trial["options"]["draft_length"]: trial["return"] for trial in found["trials"]} == returns
    best = max(returns, key=returns.__getitem__)
    assert found["options"] == {"draft_length": best}
    policy = rule.player(load_scenario("hidden"), {"draft_length": best}).policy
    tested = evaluate({"mine": policy}, env_id=HIDDEN, episodes=2, seed=5).policies["mine"]
    assert found["returns"] == tested.returns.tolist()
    assert min(found["microseconds"].values()) > 0.0


def rows(**returns):
    return {
        name: {"knows": "truth" if name.startswith("seer") else "means", "returns": values, "name": name}
        for name, values in returns.items()
    }


def test_losses_are_against_the_best_rule_and_the_best_of_all(headroom):
    found = rows(poor=[5.0, 5.0], good=[9.0, 9.0], seer=[10.0, 10.0])
    headroom.compare(found, 0)
    assert found["poor"]["loss_to_best_rule"]["mean"] == pytest.approx(4 / 9)
    assert found["poor"]["loss_to_best_clairvoyant"]["mean"] == pytest.approx(0.5)
    assert found["seer"]["loss_to_best_rule"]["mean"] == pytest.approx(-1 / 9)
    assert found["good"]["loss_to_best_rule"]["best"]
    assert found["seer"]["loss_to_best_clairvoyant"]["best"]


@pytest.mark.parametrize(
    ("seer", "text"),
    [
        (10.0, "good has 10.0% (10.0%, 10.0%) less than seer, which knows the truth: no policy that sees"),
        (9.09, "good has 1.0% (1.0%, 1.0%) less than seer, which knows the truth: less than 2%, so nothing is left"),
        (8.0, "No rule that knows the truth is above good: to know more is worth nothing to the rules tried."),
    ],
)
def test_the_verdict_says_what_is_left(headroom, seer, text):
    found = rows(poor=[5.0, 5.0], good=[9.0, 9.0], seer=np.full(2, seer))
    headroom.compare(found, 0)
    assert headroom.verdict({"rules": found}).startswith(text)


def test_where_nothing_is_hidden_the_verdict_says_so(headroom):
    found = rows(poor=[5.0, 5.0], good=[9.0, 9.0])
    headroom.compare(found, 0)
    assert headroom.verdict({"rules": found}).startswith("Nothing is hidden from good: ")


@pytest.mark.slow
def test_the_study_writes_a_line_for_each_rule(headroom, tmp_path, capsys):
    command = ["--task", "hidden", "--labels", "server_only", "fixed_bw_l", "--episodes", "2", "--batch", "3"]
    assert headroom.main([*command, "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "headroom_hidden.json").read_text())
    assert set(report["rules"]) == {"server_only", "fixed_bw_l"}
    text = (tmp_path / "headroom_hidden.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    assert f"{report['rules']['fixed_bw_l']['return']['mean']:,.0f}" in text
    assert "Nobody can have more" not in text
    assert headroom.main(["--task", "hidden", "--labels", "best", "--output", str(tmp_path)]) == 1
    assert "labels must be among server_only, " in capsys.readouterr().err


@pytest.mark.slow
def test_where_requests_have_deadlines_the_study_bounds_what_can_be_earned(headroom, tmp_path, capsys):
    command = ["--task", "deadline", "--labels", "heterogeneous", "server_only", "--episodes", "2", "--batch", "2"]
    assert headroom.main([*command, "--num-users", "3", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "headroom_deadline_3.json").read_text())
    own = dataclasses.replace(load_scenario("deadline"), num_users=3)
    # Three users are given what three can do.
    relative = headroom.references_of(own, 2, 500_000)
    assert report["references"] == relative
    assert relative["reference_goodput"]["mean"] < 0.6 * own.clock.requests.reference_goodput
    scenario = headroom.with_references(own, relative)
    assert scenario.clock.requests.reference_goodput == relative["reference_goodput"]["mean"]
    found = headroom.bounds_of(scenario, 2, 1000)
    assert report["bound"]["bounds"] == found["bounds"]
    rules = report["rules"]
    assert set(rules) == {"heterogeneous", "server_only"}
    assert all(max(rule["returns"]) <= max(found["bounds"]) for rule in rules.values())
    part = rules["heterogeneous"]["return"]["mean"] / found["bound"]["mean"]
    text = (tmp_path / "headroom_deadline_3.md").read_text()
    assert f"the best rule has {part:.1%} of that" in text
    assert f"The load is relative to {relative['reference_goodput']['mean']:.1f} (" in text
    assert "Nobody can have more than" in capsys.readouterr().out

"""The studies of requests with deadlines: opponents that exist, a bound that nobody exceeds, and a sweep."""

import importlib
import json

import numpy as np
import pytest
from library import ROOT
from services import busy

from multispin_gym import load_scenario
from multispin_gym.baselines import list_controllers, make_estimator
from multispin_gym.baselines.on_time_bound import on_time_bound
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.envs.variants import DEADLINE
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.service.loop import play_service

pytestmark = pytest.mark.slow


@pytest.fixture
def clock_study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark


@pytest.fixture
def short(tmp_path):
    """A scenario file with short episodes of a busy cell."""
    path = tmp_path / "short.toml"
    path.write_text(busy("deadline", num_users=3, episode_seconds=8.0).to_toml())
    return path


def test_every_opponent_can_be_made_with_all_that_it_is_tuned_among(clock_study):
    clock_study("headroom")
    opponents = importlib.import_module("_deadline_opponents").OPPONENTS
    assert len({rule.label for rule in opponents}) == len(opponents)
    scenario = load_scenario("deadline")
    for rule in opponents:
        trials = rule.trials(1000, 0)
        assert len(trials) <= 64
        for options in trials[:: max(len(trials) // 2, 1)]:
            assert isinstance(rule.player(scenario, options), Player)
        assert rule.name in list_controllers() or rule.scenario(scenario).clock.admission == ("gives up" in rule.label)


def test_the_requests_of_a_seed_are_those_that_the_game_meets(clock_study):
    study = clock_study("deadline_bound")
    scenario = busy("deadline", num_users=4, episode_seconds=20.0)
    found = study.requests_of(scenario, 7)
    game = ClockGame(DEADLINE, scenario, scenario.clock)
    game.seed(0, 7)
    game.begin(np.arange(1))
    met = set()
    while not game.ended[0]:
        values = game.slots.values
        for place in np.flatnonzero(game.slots.present[0]):
            met.add(tuple(float(values[name][0, place]) for name in ("arrival", "deadline", "length")))
        game.play(np.full((1, game.actions.size), -1.0, np.float32))
        game.advance()
    known = set(zip(found.arrival.tolist(), found.deadline.tolist(), found.length.tolist(), strict=True))
    assert len(met) > 5
    assert met <= known
    assert found.arrival.max() <= 20.0
    assert (found.value == 1.0).all()


@pytest.mark.parametrize("reward", ["requests_on_time", "tokens_on_time"])
def test_nobody_earns_more_than_the_bound(clock_study, reward):
    study = clock_study("deadline_bound")
    scenario = busy("deadline", num_users=4, episode_seconds=10.0, reward=reward, admission=True)
    bounds = []
    for seed in range(6):
        requests = study.requests_of(scenario, seed)
        bounds.append(on_time_bound(requests, scenario.cell, 4, 10.0))
        assert bounds[-1] < requests.value.sum()
    rule = make_estimator("request_index", scenario, threshold=0.4)
    earned = play_service(Player("index", rule), DEADLINE, scenario, 6, 0)
    assert 0.2 * np.mean(bounds) < earned.returns.mean() < np.mean(bounds)
    assert earned.given_up.sum() > 0.0


def test_bounds_are_written_with_what_came(clock_study, short, tmp_path, capsys):
    study = clock_study("deadline_bound")
    words = ["--scenario", str(short), "--loads", "0.2", "0.9", "--episodes", "3", "--output", str(tmp_path)]
    assert study.main(words) == 0
    found = json.loads((tmp_path / "deadline_bound.json").read_text())["loads"]
    assert found["0.2"]["came"]["mean"] < found["0.9"]["came"]["mean"]
    for row in found.values():
        assert row["bound"]["mean"] == pytest.approx(np.mean(row["bounds"]))
    assert f"{found['0.9']['bound']['mean']:.1f}" in capsys.readouterr().out
    assert study.main(["--scenario", "stale", "--output", str(tmp_path)]) != 0
    assert "scenario must have requests with deadlines, got 'stale'" in capsys.readouterr().err


def test_a_sweep_compares_rules_on_the_same_requests(clock_study, short, tmp_path, monkeypatch):
    study = clock_study("deadline_sweep")
    monkeypatch.setattr(study, "RULES", tuple(rule for rule in study.RULES if rule.label in ("fair", "index")))
    words = ["--scenario", str(short), "--loads", "0.9", "--slacks", "0.6", "1.0", "--episodes", "3", "--seed", "5"]
    assert study.main([*words, "--output", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "deadline_sweep.json").read_text())["points"]["0.9, 0.6..1.0"]
    assert row["gain"]["mean"] == pytest.approx(row["index"]["mean"] - row["fair"]["mean"])
    scenario = study.at_load(study.with_slack(load_scenario(short), (0.6, 1.0)), 0.9)
    assert (scenario.clock.requests.load, scenario.clock.requests.slack) == (0.9, (0.6, 1.0))
    rule = make_estimator("equal_weights", scenario, objective="proportional_fair")
    assert row["fair"]["mean"] == play_service(Player("fair", rule), DEADLINE, scenario, 3, 5).returns.mean()
    assert row["fair"]["mean"] <= row["came"]["mean"]
    assert row["bound"]["mean"] <= row["came"]["mean"] + 1e-6

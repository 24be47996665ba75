"""Small closed cells solved exactly: against every stationary policy, and against rounds that are simulated."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from library import ROOT

import multispin_gym as ms

RATES, CHANCES = (0.2, 0.9), (0.4, 0.6)


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("closed_cells")


def small(study, longest=1, mean_length=8.0, num_users=2):
    scenario = ms.load_scenario("paper_qwen35")
    cell = dataclasses.replace(scenario.cell, min_draft_length=0, max_draft_length=max(longest, 1))
    users = scenario.sample_users(np.random.default_rng(0), num_users)
    return study.ClosedCell.of(users, cell, RATES, CHANCES, mean_length, longest), users, cell


def long_run(process, policy, rounds=4000):
    """Goodput from the shares of states after many rounds, by powers of the chain."""
    each = np.arange(len(policy))
    share, moves = np.full(len(policy), 1.0 / len(policy)), process.moves(policy)
    for _ in range(rounds):
        share = share @ moves
    return share @ process.delivered[each, policy].sum(axis=1) / (share @ process.seconds[policy])


@pytest.mark.parametrize("mean_length", [2.0, 30.0])
def test_policy_iteration_finds_the_best_of_all_stationary_policies(study, mean_length):
    process, _, _ = small(study, mean_length=mean_length)
    policies = [np.array(policy) for policy in itertools.product(range(4), repeat=4)]
    every = [process.rate(policy) for policy in policies]
    policy, best = process.best()
    assert best == pytest.approx(max(every), rel=1e-10)
    assert process.rate(policy) == pytest.approx(best, rel=1e-10)
    assert long_run(process, policy) == pytest.approx(best, rel=1e-9)


def test_rounds_give_what_simulated_requests_get(study):
    process, users, cell = small(study, longest=3)
    rng, rounds, ending = np.random.default_rng(1), 200_000, 1.0 / 8.0
    state, action = 1, int(np.flatnonzero((process.actions == [3, 2]).all(axis=1))[0])
    kinds, lengths = process.states[state], process.actions[action]
    rates = np.array(RATES)[kinds]
    tokens = 1 + np.minimum(np.floor(np.log(rng.random((rounds, 2))) / np.log(rates)), lengths)
    left = rng.geometric(ending, (rounds, 2))
    wanted, ended = np.minimum(tokens, left), left <= tokens
    np.testing.assert_allclose(process.tokens[state, action], tokens.mean(axis=0), rtol=5e-3)
    np.testing.assert_allclose(process.delivered[state, action], wanted.mean(axis=0), rtol=5e-3)
    new = np.where(ended, (rng.random((rounds, 2)) >= CHANCES[0]).astype(int), kinds)
    reached = np.bincount(new[:, 0] * 2 + new[:, 1], minlength=4) / rounds
    np.testing.assert_allclose(process.moves(np.full(4, action))[state], reached, atol=5e-3)
    together = ms.baselines.make_controller("homogeneous")(users, dataclasses.replace(cell, min_draft_length=1))
    one = ms.play_round(users, cell, ms.Decision([1, 1], together.bandwidth_shares))
    same = int(np.flatnonzero((process.actions == [1, 1]).all(axis=1))[0])
    assert process.seconds[same] == pytest.approx(float(one.latency), rel=1e-6)


def test_what_lies_ahead_is_the_mean_over_the_next_states(study):
    process, _, _ = small(study, longest=2, num_users=3)
    worth = np.random.default_rng(0).normal(size=8)
    for action in range(len(process.actions)):
        moves = process.moves(np.full(8, action))
        np.testing.assert_allclose(moves.sum(axis=1), 1.0)
        np.testing.assert_allclose(process.ahead(worth)[:, action], moves @ worth)


def test_rules_maximise_what_they_are_called_after(study):
    process, users, cell = small(study, longest=6)
    for state in range(4):
        mine = dataclasses.replace(users, acceptance_rate=np.array(RATES)[process.states[state]])
        for objective, rule in (("sum", process.greedy()), ("proportional_fair", process.fair())):
            exact = ms.baselines.make_controller("exact", objective=objective)(mine, cell)
            goal = ms.Objective(objective)
            best = ms.play_round(mine, cell, exact)
            tokens, seconds = process.tokens[state, rule[state]], process.seconds[rule[state]]
            assert goal.value(tokens, seconds) >= goal.value(best.tokens, best.latency) * (1 - 1e-6)
    mean = np.full(2, np.dot(RATES, CHANCES))
    exact = ms.baselines.make_controller("exact")(dataclasses.replace(users, acceptance_rate=mean), cell)
    assert (process.actions[process.by_mean(RATES, CHANCES)] == exact.draft_lengths).all()


def test_tokens_take_what_their_places_are_held_for(study):
    process, _, _ = small(study, longest=4)
    each = process.seconds_by_kind(process.fair())
    # Little's law: tokens a second of a kind times its seconds per token are the places that it holds, two in all.
    policy, index = process.fair(), np.arange(4)
    visits = process.visits(policy)
    per_second = process.delivered[index, policy] * visits[:, None] / (visits @ process.seconds[policy])
    held = sum((per_second * (process.states == kind)).sum() * each[kind] for kind in range(2))
    assert held == pytest.approx(2.0, rel=1e-9)
    assert each[0] > each[1]


def test_the_fluid_rule_is_nearly_at_its_fixed_point_and_with_the_best(study):
    process, _, _ = small(study, longest=10, mean_length=200.0)
    policy = process.fluid()
    assert process.rate(policy) > 0.985 * process.best()[1]


def test_the_study_writes_what_the_process_says(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "CELLS", ((2, RATES),))
    arguments = ["--scenarios", "paper_qwen35", "--draws", "2", "--longest", "5", "--output", str(tmp_path)]
    assert study.main(arguments) == 0
    rows = json.loads((tmp_path / "closed_cells.json").read_text())["cells"]["paper_qwen35, 2 users, rates 0.2 0.9"]
    assert len(rows) == 2
    for row in rows:
        assert set(row["parts"]) == {"round, means", "round, truth", "fair, truth", "fluid, truth"}
        assert all(0.0 < part <= 1.0 + 1e-12 for part in row["parts"].values())
    assert "| all |" in (tmp_path / "closed_cells.md").read_text()


def test_policy_iteration_that_does_not_end_is_an_error(study, monkeypatch):
    process, _, _ = small(study)
    monkeypatch.setitem(process.best.__globals__, "_MOST_STEPS", 0)
    with pytest.raises(RuntimeError, match="policy iteration did not end within 0 steps"):
        process.best()

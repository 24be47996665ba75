"""Small cells with old reports solved exactly: against every stationary policy, and against simulated rounds."""

import dataclasses
import importlib
import itertools
import json

import numpy as np
import pytest
from library import ROOT

import multispin_gym as ms


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("stale_cells")


AGE, COHERENCE = 0.125, 0.6
LIMITS = 0.05, 5.0


def small(study, num_users=2, levels=2, lengths=(0, 3, 8), parts=4):
    scenario = ms.load_scenario("stale")
    unfaded = dataclasses.replace(scenario, fading=ms.Fading("none"), clock=None)
    users = unfaded.sample_users(np.random.default_rng(0), num_users)
    cell = dataclasses.replace(scenario.cell, bandwidth=1e6)
    chain = study.FadeChain.rayleigh(levels, COHERENCE)
    return study.stale_cells(users, cell, chain, AGE, lengths, parts, LIMITS), users, cell, chain


def test_levels_follow_the_law_of_a_rayleigh_fade(study):
    chain = study.FadeChain.rayleigh(5, COHERENCE)
    drawn = np.random.default_rng(0).standard_exponential(400_000)
    level = np.searchsorted(-np.log1p(-((np.arange(1, 5) / 5) ** 3)), drawn)
    np.testing.assert_allclose(np.bincount(level) / drawn.size, chain.chances, atol=2e-3)
    np.testing.assert_allclose([drawn[level == j].mean() for j in range(5)], chain.gains, rtol=1e-2)
    times = np.array([0.0, 0.05, 0.4])
    moved = chain.after(times)
    np.testing.assert_allclose(moved[0], np.eye(5), atol=1e-12)
    np.testing.assert_allclose(moved.sum(axis=-1), 1.0)
    np.testing.assert_allclose(moved[1] @ moved[2], chain.after(0.45), atol=1e-12)
    # The power's mean comes back at twice the rate of the amplitude's correlation.
    kept = np.exp(-2.0 * times / COHERENCE)[:, None]
    np.testing.assert_allclose(moved @ chain.gains, 1.0 + kept * (chain.gains - 1.0))


def test_policy_iteration_finds_the_best_of_all_stationary_policies(study):
    (stale, known), *_ = small(study, num_users=1, levels=3, parts=1)
    actions = stale.tokens.shape[1]
    for process in (stale, known):
        every = [process.rate(np.array(policy)) for policy in itertools.product(range(actions), repeat=3)]
        policy, best = process.best()
        assert best == pytest.approx(max(every), rel=1e-10)
        assert process.rate(policy) == pytest.approx(best, rel=1e-10)
    assert known.best()[1] > stale.best()[1]


def test_rounds_that_are_simulated_bring_the_rate(study):
    (stale, _), _, _, chain = small(study)
    policy = stale.by_round()
    rng, levels = np.random.default_rng(1), len(chain.gains)
    reports = rng.integers(levels, size=(4000, 2))
    tokens = seconds = 0.0

    def moved(state, step):
        cumulated = chain.after(step).cumsum(axis=-1)
        row = np.arange(len(state))[:, None]
        return (rng.random((*state.shape, 1)) > cumulated[row, state]).sum(axis=-1)

    for number in range(60):
        action = policy[reports @ [levels, 1]]
        state = moved(reports, np.full(len(reports), AGE))
        index = state @ [levels, 1]
        lasted = stale.seconds[index, action]
        if number >= 20:
            tokens += stale.tokens[index, action].sum()
            seconds += lasted.sum()
        reports = moved(state, lasted - AGE)
    assert tokens / seconds == pytest.approx(stale.rate(policy), rel=3e-3)


def test_what_lies_ahead_is_the_mean_over_the_next_reports(study):
    for process in small(study)[0]:
        worth = np.random.default_rng(0).normal(size=4)
        for action in range(0, process.tokens.shape[1], 7):
            moves = process.moves(np.full(4, action))
            np.testing.assert_allclose(moves.sum(axis=1), 1.0)
            np.testing.assert_allclose(process.ahead(worth)[:, action], moves @ worth)


def test_no_cut_off_between_those_listed_is_better(study):
    (stale, _), users, cell, chain = small(study, levels=3, lengths=(6,))
    price, share = stale.best()[1], np.array([0.25, 0.75])
    states = np.array(list(itertools.product(range(3), repeat=2)))
    faded = ms.Users(**{name: np.broadcast_to(getattr(users, name), states.shape).copy() for name in ms.Users.FIELDS})
    faded = dataclasses.replace(faded, channel_gain=faded.channel_gain * chain.gains[states])

    def worth(cutoff):
        played = ms.play_round(faded, cell, ms.Decision(np.full((9, 2), 6), share, cutoff))
        return stale.belief @ (played.tokens.sum(axis=-1) - price * played.latency)

    listed = importlib.import_module("_stale_cell").decisions(users, cell, chain.gains, (6,), 4, LIMITS)
    own = listed.cutoff[(listed.bandwidth_shares == share).all(axis=1)]
    assert 2 < own.size <= 6
    best = np.max([worth(cutoff) for cutoff in own], axis=0)
    # Before the first of them nobody is in, for which no draft is the better way.
    for cutoff in np.random.default_rng(0).uniform(own.min(), LIMITS[1], 300):
        assert (worth(cutoff) <= best + 1e-9).all()


def test_rules_maximise_what_they_are_called_after(study):
    (stale, known), *_ = small(study)
    price = stale.rate(stale.by_price())
    for state in range(4):
        ratio = stale.gained[state] / stale.lasting[state]
        assert ratio[stale.by_round()[state]] == ratio.max()
        paid = stale.gained[state] - price * stale.lasting[state]
        assert paid[stale.by_price()[state]] == pytest.approx(paid.max(), abs=1e-9)
        assert known.by_round()[state] == stale.believing()[state]


def test_the_study_writes_what_the_processes_say(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "SIZES", (study.Size(2, 2, (0, 4, 8), 4),))
    assert study.main(["--correlations", "0.8", "--draws", "2", "--output", str(tmp_path)]) == 0
    (rows,) = json.loads((tmp_path / "stale_cells.json").read_text())["cells"].values()
    assert len(rows) == 2
    for row in rows:
        parts = row["parts"]
        assert 0.0 < parts["believes the reports"] <= 1.0 + 1e-12
        assert parts["the round's ratio"] <= 1.0 + 1e-12
        assert parts["best policy, levels known"] >= 1.0 - 1e-12
    assert "| 2 users, correlation 0.8 |" in (tmp_path / "stale_cells.md").read_text()

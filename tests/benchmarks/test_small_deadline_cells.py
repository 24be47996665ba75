"""Exact optima of small cells with deadlines: equal to enumeration, and what rules lose against them."""

import functools
import itertools
import json

import numpy as np
import pytest
from library import ROOT
from scipy.optimize import minimize_scalar

import multispin_gym as ms

pytestmark = pytest.mark.slow


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("small_deadline_cells")


def two_users(study, **changes):
    users = ms.Users([0.8, 0.5], [25.0, 40.0], [0.3, 0.02], 1e-8)
    verification = ms.AffineVerification(fixed=0.05, per_draft=0.02)
    cell = ms.Cell(10e6, payload=30_000.0, verification=verification, noise_power=1e-10, power="density",
                   min_draft_length=0, max_draft_length=2)  # fmt: skip
    given = {"tokens": np.array([4, 3]), "due": np.array([6, 4]), "tick": 0.07, "horizon": 6, **changes}
    return study.SmallCell(users, cell, **given)


def seconds_of(cell, lengths):
    """The least time of a round, over a grid-free search for the best share of the first user; None is not there."""
    here = [k for k, length in enumerate(lengths) if length is not None]
    if not here:
        return 0.0
    users = ms.Users(*([getattr(cell.users, name)[k] for k in here] for name in ms.Users.FIELDS))
    drafts = [lengths[k] for k in here]

    def time(shares):
        return float(ms.play_round(users, cell.cell, ms.Decision(drafts, shares)).latency)

    drafting = [i for i, length in enumerate(drafts) if length]
    if len(drafting) < 2:
        return time([float(i in drafting) for i in range(len(here))])
    return minimize_scalar(lambda s: time([s, 1.0 - s]), bounds=(1e-6, 1 - 1e-6), method="bounded",
                           options={"xatol": 1e-12}).fun  # fmt: skip


def enumerated(cell, choose=None):
    """Value by recursion over every decision and every outcome; ``choose`` decides instead of the best."""
    rates = cell.users.acceptance_rate
    times = functools.cache(lambda lengths: seconds_of(cell, lengths))

    def outcomes(place, state, length, ticks):
        """Chance, state and requests on time of everything that can come of a place."""
        if state is None or length is None:
            comes = 1.0 - (1.0 - cell.arrivals) ** ticks
            return [(comes, (int(cell.tokens[place]), int(cell.due[place])), 0), (1.0 - comes, None, 0)]
        found = []
        for accepted in range(length + 1):
            chance = rates[place] ** accepted * (1.0 if accepted == length else 1.0 - rates[place])
            left, due = state[0] - accepted - 1, state[1] - ticks
            if left <= 0:
                found.append((chance, None, int(due >= 0)))
            else:
                found.append((chance, (left, due) if due > 0 else None, 0))
        return found

    @functools.cache
    def value(time, states):
        if time >= cell.horizon:
            return 0.0
        if choose is None:
            options = [
                [None] if state is None else [*range(3), *([None] if cell.admission else [])] for state in states
            ]
            decisions = itertools.product(*options)
        else:
            decisions = [choose(states)]
        return max(expected(time, states, lengths) for lengths in decisions)

    def expected(time, states, lengths):
        ticks = max(times(lengths) / cell.tick, 1.0)
        low, total = int(ticks), 0.0
        for taken, part in ((low, low + 1 - ticks), (low + 1, ticks - low)):
            if part < 1e-9:
                continue
            several = (outcomes(k, states[k], lengths[k], taken) for k in range(2))
            for both in itertools.product(*several):
                chance = both[0][0] * both[1][0]
                after = value(time + taken, (both[0][1], both[1][1])) if chance else 0.0
                total += part * chance * (both[0][2] + both[1][2] + after)
        return total

    return value(0, tuple((int(tokens), int(due)) for tokens, due in zip(cell.tokens, cell.due, strict=True)))


@pytest.mark.parametrize("admission", [False, True])
@pytest.mark.parametrize("arrivals", [0.0, 0.3])
def test_the_optimum_is_that_of_enumeration(study, arrivals, admission):
    cell = two_users(study, arrivals=arrivals, admission=admission)
    found = study.Programme(cell).optimum()
    assert 0.3 < found < 2.0 + 10 * arrivals
    assert found == pytest.approx(enumerated(cell), rel=1e-6)


@pytest.mark.parametrize("arrivals", [0.0, 0.3])
def test_the_value_of_a_rule_is_that_of_enumeration_and_no_more_than_the_optimum(study, arrivals):
    cell = two_users(study, arrivals=arrivals)
    programme = study.Programme(cell)

    def rule(tokens, ticks):
        # The first draws back where the second is in a hurry.
        hurry = (tokens[:, 1] > 0) & (ticks[:, 1] <= 2)
        return np.stack([np.where(hurry, -1, 2), np.full(len(tokens), 1)], axis=-1)

    def choose(states):
        hurry = states[1] is not None and states[1][1] <= 2
        first = None if states[0] is None or hurry else 2
        return (first, None if states[1] is None else 1)

    found = programme.value(rule)
    assert found == pytest.approx(enumerated(cell, choose), rel=1e-6)
    # One step of policy improvement does not make it worse.
    assert found <= programme.rollout(rule) <= programme.optimum() + 1e-12
    assert found < programme.optimum()


def test_a_rollout_is_the_optimum_where_there_is_but_one_round(study):
    def lazy(tokens, ticks):
        return np.zeros(tokens.shape, int)

    programme = study.Programme(two_users(study, horizon=1))
    assert programme.value(lazy) < programme.rollout(lazy) == pytest.approx(programme.optimum())


def test_giving_requests_up_is_worth_something(study):
    crowded = {"tokens": np.array([6, 6]), "due": np.array([6, 6])}
    values = [
        study.Programme(two_users(study, admission=admission, **crowded)).optimum() for admission in (False, True)
    ]
    assert values[1] > values[0] + 1e-3


def test_losses_are_those_of_the_cells_and_no_rule_is_above_the_optimum(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(study, "RULES", {name: study.RULES[name] for name in ("the round's tokens", "request_index")})
    monkeypatch.setattr(study, "ROLLED_OUT", ("request_index",))
    words = ["--num-users", "2", "--cells", "3", "--tuning-cells", "1", "--tokens", "6", "--output", str(tmp_path)]
    assert study.main(words) == 0
    found = json.loads((tmp_path / "small_deadline_cells.json").read_text())["num_users"]["2"]
    optima = np.array(found["optima"])
    for row in found["rules"].values():
        values = np.array(row["values"])
        assert (values <= optima + 1e-9).all()
        assert row["lost"]["mean"] == pytest.approx(1.0 - values.sum() / optima.sum())
    assert set(found["rules"]["request_index"]["options"]) == {"temperature", "speed_up"}
    ahead = found["rules"]["the best decision if request_index decides ever after"]
    assert (np.array(ahead["values"]) >= np.array(found["rules"]["request_index"]["values"]) - 1e-9).all()
    assert capsys.readouterr().out.startswith((tmp_path / "small_deadline_cells.md").read_text())
    assert study.main(["--num-users", "2", "3", "--tokens", "6", "--output", str(tmp_path)]) != 0
    assert "tokens must have an entry for each of num_users, got (6,)" in capsys.readouterr().err

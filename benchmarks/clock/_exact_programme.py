"""The exact optimum of small cells with requests that have deadlines, by backward induction, and the value of rules.

Time passes in ticks. Every place k of a cell belongs to a user with a known acceptance rate and a fixed channel, and
has a request with whole tokens left and whole ticks to its deadline, or is empty. A decision gives each request a draft
length, or gives it up. The round lasts as long as the draft lengths take with the best split of the band, rounded to
one of the two whole numbers of ticks around it, at random with the right mean. Tokens follow the geometric law cut at
the draft length. A request that has all its tokens when a round ends, not after its deadline, counts as one. With
``arrivals`` a place that is empty when a round begins has, at its end, another request of its user with so much
probability for every tick. A round that begins before the horizon counts in full.

Given the decision, places change independently of each other, so that expectations are taken one place at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from multispin_gym import Cell, Users
from multispin_gym._validation import BoolArray, FloatArray, IntArray
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves

GONE = -1
"""A length that means: given up, or nobody there."""
Action = tuple[int, ...]
Rule = Callable[[FloatArray, FloatArray], IntArray]
"""Tokens and ticks left of requests in M states, 0 where nobody is, to lengths or :data:`GONE`. Shapes (M, K)."""


@dataclass(frozen=True, eq=False)
class SmallCell:
    """A cell with few places.

    Parameters
    ----------
    users
        The users of the places. Shape (K,).
    cell
        The shared system.
    tokens, due
        Tokens and ticks to the deadline of the first request of each place, and of those that follow it. Shape (K,).
    tick
        Seconds of a tick, no more than a round lasts.
    horizon
        Ticks in which rounds can begin.
    arrivals
        Probability for each tick that an empty place has a request again.
    admission
        Whether requests can be given up.
    """

    users: Users
    cell: Cell
    tokens: IntArray
    due: IntArray
    tick: float
    horizon: int
    arrivals: float = 0.0
    admission: bool = True

    @property
    def places(self) -> int:
        """Number of places K."""
        return len(self.tokens)

    @cached_property
    def actions(self) -> dict[Action, tuple[tuple[int, float], ...]]:
        """The actions, and how many ticks each takes with what probability."""
        lengths = range(self.cell.min_draft_length, self.cell.max_draft_length + 1)
        choices = list(itertools.product((GONE, *lengths), repeat=self.places))
        drafts = np.array(choices, dtype=np.float64)
        there = drafts > GONE
        drafts = np.maximum(drafts, 0.0)
        same = Users.trusted(
            **{name: np.broadcast_to(getattr(self.users, name), drafts.shape).copy() for name in Users.FIELDS}
        )
        uploaded = least_deadline(ShareCurves.of(same, self.cell), drafts)
        seconds = uploaded + self.cell.verification.round_time(drafts, there)
        return {
            action: _ticks(max(float(time) / self.tick, 1.0)) for action, time in zip(choices, seconds, strict=True)
        }

    def states(self, place: int) -> tuple[IntArray, IntArray]:
        """Tokens and ticks left in the states of a place, the first of which is empty. Shapes (S,)."""
        tokens, ticks = np.meshgrid(
            np.arange(1, self.tokens[place] + 1), np.arange(1, self.due[place] + 1), indexing="ij"
        )
        return np.append(0, tokens.ravel()), np.append(0, ticks.ravel())

    def change(self, place: int, length: int, ticks: int) -> tuple[FloatArray, FloatArray]:
        """How a place changes in a round of so many ticks, and what it earns on average. Shapes (S, S) and (S,)."""
        left, due = self.states(place)
        width = int(self.due[place])
        after, earned = np.zeros((len(left), len(left))), np.zeros(len(left))
        fresh = 1 + (int(self.tokens[place]) - 1) * width + width - 1
        comes = 1.0 - (1.0 - self.arrivals) ** ticks
        empty = np.ones(len(left), dtype=np.bool_) if length == GONE else left == 0
        after[empty, fresh] += comes
        after[empty, 0] += 1.0 - comes
        if length == GONE:
            return after, earned
        rate = float(self.users.acceptance_rate[place])
        for accepted in range(length + 1):
            chance = rate**accepted * (1.0 if accepted == length else 1.0 - rate)
            ends = ~empty & (left <= accepted + 1)
            goes_on = ~empty & ~ends & (due > ticks)
            over = np.flatnonzero(~empty & ~goes_on)
            after[over, 0] += chance
            earned[ends & (due >= ticks)] += chance
            some = np.flatnonzero(goes_on)
            after[some, 1 + (left[some] - accepted - 2) * width + due[some] - ticks - 1] += chance
        return after, earned


def _ticks(number: float) -> tuple[tuple[int, float], ...]:
    """Whole numbers around a number, with probabilities whose mean it is."""
    low = int(number)
    part = number - low
    return ((low, 1.0),) if part < 1e-9 else ((low, 1.0 - part), (low + 1, part))


class Programme:
    """Backward induction over a small cell.

    Parameters
    ----------
    cell
        The cell.
    """

    def __init__(self, cell: SmallCell) -> None:
        self.cell = cell
        durations = {ticks for options in cell.actions.values() for ticks, _ in options}
        lengths = (GONE, *range(cell.cell.min_draft_length, cell.cell.max_draft_length + 1))
        self._changes = {
            (place, length, ticks): cell.change(place, length, ticks)
            for place in range(cell.places)
            for length in lengths
            for ticks in durations
        }
        self._reached = self._reach(sorted(durations), lengths)

    def _reach(self, durations: list[int], lengths: tuple[int, ...]) -> list[list[IntArray]]:
        """States that each place can be in at each time, the rounds under way at the horizon included."""
        cell = self.cell
        last = cell.horizon + durations[-1]
        reached = [[np.zeros(len(cell.states(k)[0]), np.bool_) for k in range(cell.places)] for _ in range(last)]
        for place in range(cell.places):
            reached[0][place][-1] = True
            steps = {d: sum(self._changes[place, length, d][0] for length in lengths) > 0.0 for d in durations}
            for time in range(cell.horizon):
                for ticks, step in steps.items():
                    reached[time + ticks][place] |= step[reached[time][place]].any(axis=0)
        return [[np.flatnonzero(states) for states in here] for here in reached]

    def _value_of(self, time: int, action: Action, later: list[FloatArray]) -> tuple[list[IntArray], FloatArray] | None:
        """Value of an action in the joint states at a time that allow it, and which these are at each place."""
        cell, here = self.cell, self._reached[time]
        allowed = [
            np.flatnonzero((here[k] > 0) if length > GONE else ((here[k] == 0) | cell.admission))
            for k, length in enumerate(action)
        ]
        if not all(states.size for states in allowed):
            return None
        total = np.zeros([states.size for states in allowed])
        for ticks, chance in cell.actions[action]:
            value = later[time + ticks]
            for place, length in enumerate(action):
                after, earned = self._changes[place, length, ticks]
                rows = here[place][allowed[place]]
                part = csr_array(after[np.ix_(rows, self._reached[time + ticks][place])])
                moved = np.moveaxis(value, place, 0)
                value = np.moveaxis((part @ moved.reshape(len(moved), -1)).reshape(-1, *moved.shape[1:]), 0, place)
                total += chance * earned[rows].reshape([-1 if k == place else 1 for k in range(cell.places)])
            total += chance * value
        return allowed, total

    def _zeros(self) -> list[FloatArray]:
        """A value of zero in the joint states of every time."""
        return [np.zeros([states.size for states in here]) for here in self._reached]

    def optimum(self) -> float:
        """Most requests on time that can be expected."""
        none = self._zeros()
        return self._improved(none, none)

    def rollout(self, rule: Rule) -> float:
        """Requests on time that can be expected where each decision is the best if a rule decides ever after."""
        return self._improved(self._values(rule), self._zeros())

    def _improved(self, judged: list[FloatArray], later: list[FloatArray]) -> float:
        """Value of the decisions that are best by the values of what follows; both may be the same arrays."""
        for time in range(self.cell.horizon - 1, -1, -1):
            best = np.full(later[time].shape, -1.0)
            for action in self.cell.actions if best.size else ():
                if (found := self._value_of(time, action, judged)) is None:
                    continue
                block = np.ix_(*found[0])
                better = found[1] > best[block]
                best[block] = np.where(better, found[1], best[block])
                own = found if judged is later else self._value_of(time, action, later)
                assert own is not None
                later[time][block] = np.where(better, own[1], later[time][block])
        return float(later[0].item())

    def value(self, rule: Rule) -> float:
        """Requests on time that can be expected of a rule."""
        return float(self._values(rule)[0].item())

    def _values(self, rule: Rule) -> list[FloatArray]:
        """A rule's value in the joint states of every time."""
        later = self._zeros()
        for time in range(self.cell.horizon - 1, -1, -1):
            if not later[time].size:
                continue
            for action, taken in self._taken(time, rule).items():
                found = self._value_of(time, action, later)
                assert found is not None
                block = np.ix_(*found[0])
                later[time][block] = np.where(taken[block], found[1], later[time][block])
        return later

    def _taken(self, time: int, rule: Rule) -> dict[Action, BoolArray]:
        """A rule's actions, and the joint states of a time in which it takes them."""
        places = range(self.cell.places)
        states = [self.cell.states(k) for k in places]
        grid = np.meshgrid(*self._reached[time], indexing="ij")
        left, due = (np.stack([states[k][part][grid[k]].ravel() for k in places], axis=-1) for part in (0, 1))
        decided = np.where(left > 0, rule(left.astype(np.float64), due.astype(np.float64)), GONE)
        actions, which = np.unique(decided, axis=0, return_inverse=True)
        return {
            tuple(action): (which.ravel() == index).reshape(grid[0].shape)
            for index, action in enumerate(actions.tolist())
        }

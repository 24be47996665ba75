"""Branch and bound over cut-offs and numbers of users in the batch, for a bound of plans of one round."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.product_curve import ProductCurve
from multispin_gym.baselines.estimators.separable_dual import SeparableDual
from multispin_gym.baselines.estimators.upload_choices import UploadChoices
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.physics.verification import AffineVerification

# Windows of time up to shortly after the plan's cut-off, and from there on.
_WINDOWS, _TAIL = 12, 4
# Curves at most, from boxes whose cut-offs differ by this factor at most; and points of a curve.
_CURVES, _NARROW, _POINTS = 10, 1.1, 800
# Ratio of the cut-offs of the boxes with which the search begins.
_RATIO = 2.0
# A price is found to this part of what the plan's time is worth; rounding may cost this part.
_PRECISION, _ROUNDING = 3e-4, 1e-9


@dataclass(frozen=True)
class Box:
    """Ranges of the cut-off, s, and of the mean number of users in the batch."""

    cutoff: tuple[float, float]
    inside: tuple[float, float]

    def halves(self, by_cutoff: bool) -> tuple[Box, Box]:
        """Both halves, the cut-off's by its logarithm."""
        if by_cutoff:
            low, high = self.cutoff
            middle = (low * high) ** 0.5
            return Box((low, middle), self.inside), Box((middle, high), self.inside)
        low, high = self.inside
        middle = 0.5 * (low + high)
        return Box(self.cutoff, (low, middle)), Box(self.cutoff, (middle, high))


@dataclass(eq=False)
class _Leaf:
    """A box, choices of each user to begin with, its bound, and weights of choices where that is attained."""

    box: Box
    cuts: list[set[int]]
    bound: float = np.inf
    mixture: list[dict[int, float]] = field(default_factory=list)

    def __lt__(self, other: _Leaf) -> bool:
        return self.bound > other.bound


class BoundSearch:
    """Bounds of one round at several prices, with the boxes and curves of the bounds before.

    Parameters
    ----------
    rounds
        The rounds. Shape (N, K).
    row
        Which of them; somebody is there.
    plan
        Plans of the rounds.
    cutoffs
        The earliest and the latest, s.
    shares
        Ranges of shares that are told apart.
    """

    def __init__(self, rounds: LossyRounds, row: int, plan: Plan, cutoffs: tuple[float, float], shares: int) -> None:
        there = np.flatnonzero(rounds.present[row])
        laws = GainLaw(rounds.law.first_db, rounds.law.spacing_db, rounds.law.below[row : row + 1, there])
        tokens, drafting_time = rounds.tokens[row : row + 1, there], rounds.drafting_time[row : row + 1, there]
        present = rounds.present[row : row + 1, there]
        self._round = LossyRounds(rounds.cell, rounds.power, laws, tokens, drafting_time, present)
        assert isinstance(rounds.cell.verification, AffineVerification)
        self._server = rounds.cell.verification
        self._users = there.size
        self._row, self._there, self._seconds = row, there, float(plan.expected.seconds[row])
        self._choices = UploadChoices(self._round, shares, cutoffs[1])
        self._settled = 1.25 * float(plan.cutoff[row])
        end = 2.0 * self._settled
        self._times = np.concatenate([np.linspace(0.0, end, _POINTS), np.geomspace(end, end + cutoffs[1], 100)])
        self._alone = self._choices.table(lambda user, chance: chance)
        self._curves: list[tuple[ProductCurve, FloatArray]] = []
        lengths, given = plan.lengths[row : row + 1, there], plan.shares[row : row + 1, there]
        self._add_curve(self._round.in_by(lengths, given, self._times[None])[0])
        count = max(int(np.ceil(np.log(cutoffs[1] / cutoffs[0]) / np.log(_RATIO))), 1)
        # For one user the chord is exact.
        numbers = np.linspace(0.0, self._users, min(self._users, 2) + 1).tolist()
        self._leaves = [
            _Leaf(Box(cutoff, inside), [self._always() for _ in range(self._users)])
            for cutoff in pairwise(np.geomspace(*cutoffs, count + 1).tolist())
            for inside in pairwise(numbers)
        ]

    def bound(self, weights: FloatArray, price: float, enough: float, boxes: int) -> float:
        """Bound what plans are worth: to ``enough``, or as far as some more boxes allow. Weights have shape (K,)."""
        worth = weights[self._there, None] * self._round.tokens[0]
        tokens = np.take_along_axis(worth, self._choices.drafted()[None], axis=1)
        scale = price * self._seconds
        for leaf in self._leaves:
            self._bound_leaf(leaf, tokens, price, np.inf, enough)
        heapq.heapify(self._leaves)
        for _ in range(0, boxes, 2):
            if self._leaves[0].bound <= enough:
                break
            worst = heapq.heappop(self._leaves)
            low, high = worst.box.cutoff
            if len(self._curves) < _CURVES and high < _NARROW * low:
                self._add_mixture(worst)
            for box in worst.box.halves(self._by_cutoff(worst)):
                leaf = _Leaf(box, [set(cuts) for cuts in worst.cuts])
                self._bound_leaf(leaf, tokens, price, worst.bound, enough)
                heapq.heappush(self._leaves, leaf)
        most = self._leaves[0].bound
        return most + _ROUNDING * (abs(most) + scale)

    def _bound_leaf(self, leaf: _Leaf, tokens: FloatArray, price: float, most: float, enough: float) -> None:
        dual = self._dual(leaf.box, tokens, price)
        bound, leaf.mixture = dual.least(leaf.cuts, enough, _PRECISION * price * self._seconds)
        leaf.bound = min(bound, most)
        leaf.cuts = [self._always() | set(weights) for weights in leaf.mixture]

    def _always(self) -> set[int]:
        """Choices that are always taken into account: no draft, and one that is never in."""
        return {self._choices.count - 2, self._choices.count - 1}

    def _add_curve(self, chances: FloatArray) -> None:
        curve = ProductCurve.through(chances)
        self._curves.append((curve, self._choices.table(curve.of)))

    def _add_mixture(self, leaf: _Leaf) -> None:
        """Add the curve of what users choose where a bound is attained."""
        chances = np.zeros((self._users, self._times.size))
        for user, weights in enumerate(leaf.mixture):
            for choice, weight in weights.items():
                chances[user] += weight * self._choices.law(user, choice, self._times)
        self._add_curve(chances)

    def _by_cutoff(self, leaf: _Leaf) -> bool:
        """Whether more time is given away by the range of cut-offs than by that of the number of users."""
        low, high = leaf.box.cutoff
        late = 1.0 - float(self._mean(leaf, self._choices.in_by(low)[0]).prod())
        inside = float(np.clip(self._mean(leaf, self._choices.in_by(high)[0]).sum(), *leaf.box.inside))
        constant, slope, _ = self._verification(leaf.box)
        needed = (self._server.fixed + self._server.per_draft * inside) * self._somebody(inside)
        return (high - low) * max(late, 0.05) >= needed - constant - slope * inside

    def _mean(self, leaf: _Leaf, values: FloatArray) -> FloatArray:
        """Means of what choices have, (K, choices), over those where a bound is attained. Shape (K,)."""
        return np.array(
            [
                sum(weight * user[choice] for choice, weight in weights.items())
                for user, weights in zip(values, leaf.mixture, strict=True)
            ]
        )

    def _dual(self, box: Box, tokens: FloatArray, price: float) -> SeparableDual:
        """What is to be minimised over prices: of the band, of both ends of the number of users, of bounds."""
        cell, choices, users = self._round.cell, self._choices, self._users
        begin, end = box.cutoff
        most, least = choices.in_by(end)[0], choices.in_by(begin)[1]
        constant, slope, somebody = self._verification(box)
        paid = tokens - price * slope
        # Somebody is in the batch at least as likely as each user.
        batch = (choices.drafted() + 1.0) * np.maximum(least, somebody)
        base = np.where(paid >= 0.0, paid * most, paid * least) - price * self._server.per_token * batch
        if cell.min_draft_length > 0:
            base[:, -1] = -1e30
        edges = self._edges(begin)
        windows = edges.size - 1
        band = np.broadcast_to(-choices.prices(), (users, 1, choices.count))
        integrals = [choices.spent(self._alone, np.ones(users), edges)]
        integrals += [choices.spent(table, curve.values[:, -1], edges) for curve, table in self._curves]
        terms = np.concatenate([band, most[:, None], -least[:, None], *(price * part for part in integrals)], axis=1)
        # The functions of a single user come first, those of curves, which all have, after them.
        own = 3 + windows * np.arange(users)[:, None] + np.arange(windows)
        shared = np.arange(3 + windows * users, 3 + windows * (users + len(self._curves)))
        columns = [np.concatenate([np.arange(3), mine, shared]) for mine in own]
        groups = np.concatenate([np.zeros(3), np.tile(np.arange(1, windows + 1), users + len(self._curves))])
        most_price = 1e3 * (1.0 + float(tokens.max()) + price * self._seconds)
        costs = np.zeros(groups.size)
        costs[:3] = 1.0, -box.inside[0], box.inside[1]
        # Weights of the first window add up to one, so they carry what is constant.
        costs[groups == 1] = -price * (begin + constant + cell.downlink_time)
        return SeparableDual(base, terms, np.array(columns), costs, groups.astype(np.int64), most_price)

    def _edges(self, end: float) -> FloatArray:
        """Ends of windows of time up to a cut-off, s."""
        near = np.linspace(0.0, min(self._settled, end), _WINDOWS + 1)
        return near if end <= self._settled else np.append(near, np.geomspace(self._settled, end, _TAIL + 1)[1:])

    def _somebody(self, inside: float) -> float:
        """The least chance that somebody is in the batch, given how many are on average."""
        return float(1.0 - (1.0 - inside / self._users) ** self._users)

    def _verification(self, box: Box) -> tuple[float, float, float]:
        """Constant and slope of a line below the seconds of verification, and the least chance of somebody there."""
        low, high = box.inside
        least, most = self._somebody(low), self._somebody(high)
        slope = (most - least) / max(high - low, 1e-12)
        constant = least - slope * low
        fixed, per_draft = self._server.fixed, self._server.per_draft
        # Either (M - low) (u - least) >= 0 or (high - M) (most - u) >= 0 bounds M u; all users are in as a rule.
        end, chance = (high, most) if high == self._users else (low, least)
        return (
            fixed * constant + per_draft * end * (constant - chance),
            fixed * slope + per_draft * (end * slope + chance),
            least,
        )

r"""An upper bound of what any plan of a round can be worth whose uploads may be late: a certificate for plans.

**Programme.** With weights w and a price g of time, over lengths L, shares b and a cut-off c,

    sum_k w_k N_k(L_k) F_k(c) - g (int_0^c (1 - prod_k F_k(t)) dt + E[verification] + downlink),

F_k(t) being the probability that k's upload is in by t, one for who drafts nothing. Users are coupled by the band, by
the cut-off, by whoever is slowest, which is the product, and by verification. Each coupling is relaxed:

* **The slowest.** A product of probabilities is at most a sum of functions of one of them each, which is exact along a
  curve (:class:`ProductCurve`). Any curve bounds any plan, at each time another one if one likes, and so do averages of
  them. The curves are those of laws of upload times as time passes: first those of the plan that is to be judged, then
  those of mixtures of choices at which the bound is attained. With them go the functions of a single user, as the
  product is at most each factor. Their weights in the average are prices, in each of several windows of time.
* **The band** has a price, as in the plans themselves.
* **The cut-off** lies in a box: tokens are counted at its end, time up to its beginning.
* **Verification.** With M the mean number of users in the batch, nobody is in it with probability at most
  ``(1 - M / K)**K``, by the inequality of arithmetic and geometric means, so ``fixed + per_draft M`` counts with at
  least ``u(M) = 1 - (1 - M / K)**K``. M lies in a box, too: there u is above its chord, as it is concave, and M u above
  an envelope. That M lies in the box has a price on either side. Where tokens take time in the batch, they take at
  least that of a ragged one.

What is left is a sum over users for each of whom the best choice is found by enumeration: of lengths and ranges of
shares, each as early as with its upper end and paid for its lower end. For any prices the sum is a bound; the least is
found by cutting planes (:class:`SeparableDual`). Boxes are halved best first. Integrals over time are those of step
functions that are nowhere less, so that all errors but rounding are on the safe side.

The relaxed programme lets users draw their choices at random, together, and keep the band on average. What remains of
the gap, with fine boxes and shares, is what that is worth, and what verification is, which is loose where some users
are in for certain and others out. Bounded is the exact expectation; in :meth:`LossyRounds.expect` the start of
verification is a quadrature.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray, check_integer, check_number
from multispin_gym.baselines.estimators.lossy_boxes import BoundSearch
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.plan_search import Prices
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.physics.verification import AffineVerification

# A ratio that is too small for a bound is raised by this part of the precision more than it seems to need.
_MORE = 0.25


def bound_rounds(
    rounds: LossyRounds,
    prices: Prices,
    plan: Plan,
    first: float,
    last: float,
    *,
    precision: float = 0.002,
    boxes: int = 160,
    shares: int = 160,
) -> FloatArray:
    """Bound ``sum_k weight_k E[N_k] - time E[T]`` over all plans; see the module for the derivation.

    Parameters
    ----------
    rounds
        The rounds. Shape (N, K).
    prices
        What is maximised. Weights (N, K) and prices of time (N,), token/s, finite and at least 0.
    plan
        Plans of the rounds, from which the search for prices begins: the better, the sooner the bound is close.
    first, last
        The range of cut-offs, s.
    precision
        Where a bound is above the plan's value by no more than this part of the price of the plan's time, it is left as
        it is; in [0, 1].
    boxes
        Boxes of cut-offs and of numbers of users in the batch that are looked at, in each round, at most but for those
        with which the search begins; at least 1.
    shares
        Ranges of shares that are told apart, in [2, 4096].

    Returns
    -------
    numpy.ndarray
        What no plan is worth more than. Shape (N,).

    Raises
    ------
    ValueError
        If an argument is out of range, or the cell's verification time is not affine.
    """
    _check(rounds, prices.weight, plan, (first, last), precision, boxes, shares)
    _check_array("prices.time", prices.time, (len(rounds.tokens),))
    values = prices.value(plan)
    found = -prices.time * rounds.cell.downlink_time
    for row in np.flatnonzero(rounds.present.any(axis=-1)).tolist():
        search = BoundSearch(rounds, row, plan, (first, last), shares)
        price = float(prices.time[row])
        enough = float(values[row]) + precision * price * float(plan.expected.seconds[row])
        found[row] = search.bound(prices.weight[row], price, enough, boxes)
    return found


def bound_ratios(
    rounds: LossyRounds,
    weight: FloatArray,
    plan: Plan,
    first: float,
    last: float,
    *,
    precision: float = 0.002,
    boxes: int = 160,
    shares: int = 160,
) -> FloatArray:
    """Bound ``sum_k weight_k E[N_k] / E[T]`` over all plans.

    No plan has a ratio of more than g if at the price g of time none is worth more than nothing (Dinkelbach). A first
    bound at the plan's own ratio says about which g that is; there the same boxes are bounded again.

    Parameters
    ----------
    rounds
        The rounds. Shape (N, K).
    weight
        Weights of the users' tokens, finite and at least 0. Shape (N, K).
    plan
        Plans of the rounds, from which the search begins.
    first, last
        The range of cut-offs, s.
    precision
        Part by which a bound may be above the plan's ratio to be left as it is, in [0, 1].
    boxes, shares
        As for :func:`bound_rounds`.

    Returns
    -------
    numpy.ndarray
        What no plan's ratio is more than, token/s; 0 where nobody is there. Shape (N,).

    Raises
    ------
    ValueError
        If an argument is out of range, or the cell's verification time is not affine.
    """
    _check(rounds, weight, plan, (first, last), precision, boxes, shares)
    found = np.zeros(len(rounds.tokens))
    for row in np.flatnonzero(rounds.present.any(axis=-1)).tolist():
        search = BoundSearch(rounds, row, plan, (first, last), shares)
        seconds = float(plan.expected.seconds[row])
        ratio = float((weight[row] * plan.expected.tokens[row]).sum()) / seconds * (1.0 + precision)
        factor = 1.0
        while (above := search.bound(weight[row], ratio, 0.0, boxes)) > 0.0:
            ratio += factor * (above / seconds + (_MORE * precision + 1e-8) * ratio)
            # After a plan that takes far too long, or tokens of no weight, steps would be short for ever.
            factor *= 1.2
        found[row] = ratio
    return found


def _check(
    rounds: LossyRounds,
    weight: FloatArray,
    plan: Plan,
    cutoffs: tuple[float, float],
    precision: float,
    boxes: int,
    shares: int,
) -> None:
    verification = rounds.cell.verification
    if not isinstance(verification, AffineVerification):
        raise ValueError(f"verification must be affine, got {type(verification).__name__}")
    check_number("first", cutoffs[0], low=1e-6, high=1e6)
    check_number("last", cutoffs[1], low=cutoffs[0], high=1e6)
    check_number("precision", precision, low=0.0, high=1.0)
    check_integer("boxes", boxes, low=1, high=1_000_000)
    check_integer("shares", shares, low=2, high=4096)
    _check_array("weight", weight, rounds.present.shape)
    if plan.lengths.shape != rounds.present.shape:
        raise ValueError(f"plan must be of shape {rounds.present.shape}, got {plan.lengths.shape}")


def _check_array(name: str, values: FloatArray, shape: tuple[int, ...]) -> None:
    if values.shape != shape or not ((values >= 0.0) & np.isfinite(values)).all():
        raise ValueError(f"{name} must be finite, at least 0, and of shape {shape}, got {values}")

r"""An upper bound on how many requests can end on time, for whoever knows all that is to come but the tokens accepted.

**Relaxation.** Uploads take no time, places are never short of whom they may serve (any request that has come can be in
a round, at most K of them), and all arrivals, lengths, deadlines, rates and devices are known beforehand. What is not
known is which drafts are accepted, so that a round gives a request with acceptance rate ``alpha`` and L drafts at most
``N(L) = (1 - alpha**(L + 1)) / (1 - alpha)`` tokens on average, whatever happened before.

**Derivation.** Cut time at all arrivals and deadlines. A round counts in each interval with the part of its time that
lies there; a request that gains something from it for being on time has come before it begins and is due after it ends,
so it may be counted in all of these intervals. Let, in expectation and for interval j of length ``D_j``,

* ``y_j`` be the number of rounds, and ``Y_j`` the sum of their drafting times (of who drafts longest),
* ``u_ij`` the number of rounds with request i, and ``V_ij`` the sum of its own drafting times in them.

Then ``u_ij <= y_j``, ``V_ij <= Y_j``, ``sum_i u_ij <= K y_j``, ``sum_i V_ij <= K Y_j``, and since a round lasts its
longest drafting and its verification, ``fixed y_j + Y_j + per_draft sum_i u_ij <= D_j``. N of a real length is concave,
so by Jensen's inequality the tokens that i gains are, for every length ``L_g``, at most the tangent
``sum_j (N(L_g) - L_g N'(L_g)) u_ij + N'(L_g) V_ij / tau_i``; the tangents are taken interval by interval. A request
that is on time with probability ``x_i`` has gained ``x_i`` times its length at least, so what any policy earns,
``sum_i value_i x_i``, is no more than the maximum of this linear programme. The last round begins before the episode
ends and counts in full, so time goes on for as long as the longest round without uploads lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.verification import AffineVerification

# Lengths at which tangents are taken.
_TANGENTS = np.array([0.0, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 16.0, 20.0, 25.0, 40.0, 80.0])
_DIFFERENCE = 1e-6


@dataclass(frozen=True, eq=False)
class EpisodeRequests:
    """The requests of an episode. Shape (n,) each.

    Parameters
    ----------
    arrival, deadline
        Seconds from the beginning of the episode.
    length
        Tokens.
    acceptance_rate
        Probability that a drafted token is accepted, given that all before it were.
    drafting_time
        Seconds per drafted token of the device.
    value
        What it is worth to end on time.
    """

    arrival: FloatArray
    deadline: FloatArray
    length: FloatArray
    acceptance_rate: FloatArray
    drafting_time: FloatArray
    value: FloatArray


class _Rows:
    """Rows of ``A x <= b``, written down entry by entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._limits: list[FloatArray] = []
        self._count = 0

    def add(self, limits: FloatArray, *terms: tuple[IntArray, IntArray, FloatArray]) -> None:
        """Add rows with these limits; terms are rows among them, columns and coefficients."""
        for row, column, coefficient in terms:
            self._entries.append((row + self._count, column, np.broadcast_to(coefficient, row.shape)))
        self._limits.append(limits)
        self._count += len(limits)

    def matrix(self, columns: int) -> tuple[coo_array, FloatArray]:
        """The matrix and the limits."""
        row, column, value = (np.concatenate(parts) for parts in zip(*self._entries, strict=True))
        return coo_array((value, (row, column)), shape=(self._count, columns)), np.concatenate(self._limits)


def on_time_bound(requests: EpisodeRequests, cell: Cell, places: int, seconds: float) -> float:
    """Bound what can be earned with requests on time in an episode; see the module for the derivation.

    Parameters
    ----------
    requests
        All requests of the episode.
    cell
        The shared system; its verification time must be affine.
    places
        Requests that can be in a round, K.
    seconds
        When the last round may begin.

    Returns
    -------
    float
        No policy earns more in expectation over the acceptance of drafts.

    Raises
    ------
    ValueError
        If the cell's verification time is not affine.
    """
    if not isinstance(cell.verification, AffineVerification):
        raise ValueError(f"verification must be affine, got {type(cell.verification).__name__}")
    number = len(requests.length)
    if number == 0:
        return 0.0
    rows, columns = _constraints(requests, cell, cell.verification, places, seconds)
    matrix, limits = rows.matrix(columns)
    cost, most = np.zeros(columns), np.full(columns, np.inf)
    cost[:number], most[:number] = -requests.value, 1.0
    within = Bounds(np.zeros(columns), most)
    found = milp(cost, bounds=within, constraints=LinearConstraint(matrix.tocsr(), -np.inf, limits))
    assert found.fun is not None
    return -float(found.fun)


def _constraints(
    requests: EpisodeRequests, cell: Cell, verification: AffineVerification, places: int, seconds: float
) -> tuple[_Rows, int]:
    """The rows of the programme, and how many columns it has, those of x first."""
    longest = cell.max_draft_length * requests.drafting_time
    end = seconds + verification.fixed + places * verification.per_draft + float(longest.max())
    cuts = np.unique(np.clip(np.concatenate([[0.0, end], requests.arrival, requests.deadline]), 0.0, end))
    inside = (requests.arrival[:, None] <= cuts[:-1]) & (requests.deadline[:, None] > cuts[:-1])
    who, when = np.nonzero(inside)
    number, spans, pairs = len(requests.length), len(cuts) - 1, len(who)
    request, every, pair = np.arange(number), np.arange(spans), np.arange(pairs)
    # Columns: x, then y and Y of every interval, then u, V and the tokens of every pair of request and interval.
    rounds, drafting = number + every, number + spans + every
    taken, own, tokens = (number + 2 * spans + part * pairs + pair for part in range(3))
    rows, one, none = _Rows(), np.ones(1), np.zeros(pairs)
    rows.add(none, (pair, taken, one), (pair, rounds[when], -one))
    rows.add(none, (pair, own, one), (pair, drafting[when], -one))
    rows.add(none, (pair, own, one), (pair, taken, -longest[who]))
    for both, alone in ((rounds, taken), (drafting, own)):
        rows.add(np.zeros(spans), (when, alone, one), (every, both, -places * one))
    rows.add(
        np.diff(cuts),
        (every, rounds, verification.fixed * one),
        (every, drafting, one),
        (when, taken, verification.per_draft * one),
    )
    for length in _TANGENTS[cell.max_draft_length >= _TANGENTS]:
        level, slope = _tangent(requests.acceptance_rate[who], float(length))
        rows.add(none, (pair, tokens, one), (pair, taken, -level), (pair, own, -slope / requests.drafting_time[who]))
    rows.add(np.zeros(number), (request, request, requests.length), (who, tokens, -one))
    return rows, number + 2 * spans + 3 * pairs


def _tangent(alpha: FloatArray, length: float) -> tuple[FloatArray, FloatArray]:
    """Value at length zero and slope of a line that is nowhere below the expected tokens of a real length."""
    near = 1.0 - alpha < _DIFFERENCE
    decay = -np.log(np.clip(alpha, 1e-300, 1.0 - _DIFFERENCE))
    at = np.where(near, length + 1.0, -np.expm1(-decay * (length + 1.0)) / np.where(near, 1.0, 1.0 - alpha))
    slope = np.where(near, 1.0, decay * np.exp(-decay * (length + 1.0)) / np.where(near, 1.0, 1.0 - alpha))
    return at - length * slope, slope

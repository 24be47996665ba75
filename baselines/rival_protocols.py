"""The two protocols that the paper sets beside its own: one device at a time, and all work at the server.

Neither is a decision of the shared round, so neither is a controller: each has a model of its own. The paper gives them
a sentence each. What had to be assumed stands in the functions' notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray, IntArray, check_number
from multispin_gym.baselines.present_users import refuse_curves, solve_present
from multispin_gym.baselines.solver.common_lengths import common_lengths
from multispin_gym.baselines.solver.marginal_drafts import MarginalDrafts, first_allowed
from multispin_gym.baselines.solver.server import answering_server, server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import check_survival
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import Verification

# Numbers that are worked on at a time.
_CHUNK = 400_000


@dataclass(frozen=True, eq=False)
class ProtocolOutcome:
    """What a protocol reaches with its best draft lengths.

    Parameters
    ----------
    goodput
        Sum of the users' expected tokens over the time in which they come, token/s. Shape (...,).
    draft_lengths
        Draft lengths, token. Shape (..., K).
    """

    goodput: FloatArray
    draft_lengths: IntArray


def p2p_spin(users: Users, cell: Cell) -> ProtocolOutcome:
    """One device at a time has the whole band and the server to itself (the paper's P2P-SPIN; section VI-A).

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system; the draft lengths lie in its range.

    Returns
    -------
    ProtocolOutcome
        Goodput of a cycle in which every user has its turn, and the lengths with which it is largest.

    Notes
    -----
    Assumed: turns go round, one round for each user; a turn is drafting, upload over the whole band and the
    verification of a single draft, and no two turns overlap; the lengths are those that maximise the tokens of a cycle
    over its time (by Dinkelbach's method, exact). Lengths that are best for each user's own turn, or one common length,
    lose 0.2 to 6 % of that on the paper's cells, so that its printed ratio does not tell them apart.

    Examples
    --------
    >>> from multispin_gym import load_scenario
    >>> scenario = load_scenario("paper_llama2")
    >>> users = scenario.sample_users(np.random.default_rng(0), batch=(200,))
    >>> bool(30.0 < p2p_spin(users, scenario.cell).goodput.mean() < 33.0)
    True
    """
    if users.present is not None:
        return _of_present(users, lambda some: p2p_spin(some, cell))
    check_survival(users, cell)
    lengths = common_lengths(cell)
    server = server_of(cell, 1)
    with np.errstate(divide="ignore", over="ignore"):
        upload = cell.payload / cell.uplink.rate(np.full(1, cell.bandwidth), cell.signal(users))
    delay = np.minimum(users.drafting_time + upload, 1e200)[..., None]
    tokens = np.stack([users.tokens(np.full(1, length)) for length in lengths], axis=-1)
    seconds = lengths * delay + server.time(lengths + 1.0)
    goodput, best = np.full(users.batch_shape, -np.inf), np.zeros(users.acceptance_rate.shape, dtype=np.int64)
    index = (tokens / seconds).argmax(axis=-1)
    while True:
        made, took = (np.take_along_axis(part, index[..., None], axis=-1)[..., 0] for part in (tokens, seconds))
        reached = made.sum(axis=-1) / took.sum(axis=-1)
        better = reached > goodput
        if not better.any():
            return ProtocolOutcome(goodput, best + cell.min_draft_length)
        goodput, best = np.where(better, reached, goodput), np.where(better[..., None], index, best)
        index = (tokens - goodput[..., None, None] * seconds).argmax(axis=-1)


def cen_spin(users: Users, cell: Cell, drafting_time: float = 0.016, batched: bool = False) -> ProtocolOutcome:
    """Drafting and verification both at the server; nothing is uploaded (the paper's Cen-SPIN; section VI-A).

    Parameters
    ----------
    users
        The users, of whom only the acceptance rates matter. Shape (..., K).
    cell
        The shared system, of which only the server and the range of the draft lengths matter.
    drafting_time
        Seconds in which the server drafts a token; positive. The paper does not give it: 16 ms are inferred from its
        printed ratios.
    batched
        Whether the server drafts for all users at once, a token for each in the same time, rather than for one after
        the other.

    Returns
    -------
    ProtocolOutcome
        Goodput of the best lengths, one for each user, and the lengths.

    Raises
    ------
    ValueError
        If the drafting time is not positive, or the users have acceptance curves.

    Notes
    -----
    Assumed: drafting ends before the one verification of all drafts begins. The lengths are exact: drafts are made in
    the order of the tokens that they add, and the longest draft and the number of drafts are searched over all their
    values. The paper's gain over this protocol is one over drafts that come one after the other; with drafts in
    batches, which a server of today can do, the protocol has more than the paper's own in both of its cells.

    Examples
    --------
    >>> from multispin_gym import load_scenario
    >>> scenario = load_scenario("paper_llama2")
    >>> users = scenario.sample_users(np.random.default_rng(0))
    >>> bool(cen_spin(users, scenario.cell).goodput < cen_spin(users, scenario.cell, batched=True).goodput)
    True
    """
    drafting_time = check_number("drafting_time", drafting_time, low=0.0, low_open=True)
    if users.present is not None:
        return _of_present(users, lambda some: cen_spin(some, cell, drafting_time, batched))
    refuse_curves(users, "cen_spin")
    low, high, num_users = cell.min_draft_length, cell.max_draft_length, users.num_users
    server = answering_server(cell, num_users)
    cells = users.flattened()
    goodput, lengths = np.empty(len(cells.acceptance_rate)), np.empty(cells.acceptance_rate.shape)
    chunk = max(_CHUNK // (num_users * (high - low + 1)), 1)
    for first in range(0, len(goodput), chunk):
        rows = slice(first, first + chunk)
        drafts = MarginalDrafts.of(cells[rows], low, high)
        # A padded batch is charged for a longest draft only where somebody makes it: whom it suits best.
        leading = cells.acceptance_rate[rows].argmax(axis=-1) if server.batching == "padded" else None
        goodput[rows], lengths[rows] = _best_at_server(drafts, leading, num_users, server, drafting_time, batched)
    shape = users.acceptance_rate.shape
    return ProtocolOutcome(goodput.reshape(shape[:-1]), lengths.reshape(shape).astype(np.int64))


def _of_present(users: Users, play: Callable[[Users], ProtocolOutcome]) -> ProtocolOutcome:
    """Play a protocol with those who are present; zeros for the others, and where nobody is."""
    goodput, lengths = np.zeros(users.batch_shape), np.zeros(users.acceptance_rate.shape, np.int64)
    solve_present(users, None, lambda some, _: vars(play(some)), {"goodput": goodput, "draft_lengths": lengths})
    return ProtocolOutcome(goodput, lengths)


def _best_at_server(
    drafts: MarginalDrafts,
    leading: IntArray | None,
    num_users: int,
    server: Verification,
    drafting_time: float,
    batched: bool,
) -> tuple[FloatArray, FloatArray]:
    """Best goodput and lengths where the server drafts. Shapes: leading and goodput (M,), lengths (M, K)."""
    order, ranked = drafts.best_first(leading)
    level, low = drafts.level[order], drafts.shortest
    best, limit = np.full(len(order), -np.inf), np.full(len(order), low)
    number = np.zeros(len(order), dtype=np.int64)
    for longest in range(low, int(drafts.level.max(initial=low)) + 1):

        def seconds(number: IntArray, longest: int = longest) -> FloatArray:
            drafted = drafting_time * (longest if batched else num_users * low + number)
            if leading is None:
                return np.asarray(drafted + server.time(num_users * (low + 1.0) + number))
            padded = drafted + server.time(num_users * (longest + 1.0))
            return np.where(number >= longest - low, padded, np.inf)

        goodput, made = ranked.best_number(level <= longest, seconds)
        better = goodput > best
        best, limit = np.where(better, goodput, best), np.where(better, longest, limit)
        number = np.where(better, made, number)
    return best, drafts.lengths(first_allowed(order, level <= limit[:, None], number), num_users)

"""The paper's own search for heterogeneous drafts: a grid of latencies and prices of the band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import wrightomega

from multispin_gym._validation import FloatArray, check_choice, check_integer, check_number, shown
from multispin_gym.baselines.heterogeneous import whole_decision
from multispin_gym.baselines.present_users import refuse_curves
from multispin_gym.baselines.solver.local_search import WholeLengths, best_option, play_whole
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification

SPACINGS = ("linear", "log")
MOST_POINTS = 10_000
# Numbers that are worked on at a time.
_CHUNK = 50_000
# At an acceptance rate of one the formula has a limit, to which it comes at this decay to all digits.
_SLOWEST = 2.0**-60


@dataclass(frozen=True)
class Grid:
    """Points at which Algorithm 1 tries latencies and multipliers, which the paper does not print.

    Parameters
    ----------
    deadlines, multipliers
        Number of latencies phi and of multipliers lambda; in [2, 10000].
    smallest_multiplier
        Smallest multiplier over the largest, at which the range begins; in (0, 1].
    deadline_spacing, multiplier_spacing
        ``"linear"`` or ``"log"``.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    deadlines: int = 32
    multipliers: int = 32
    smallest_multiplier: float = 1e-4
    deadline_spacing: str = "log"
    multiplier_spacing: str = "log"

    def __post_init__(self) -> None:
        for name in ("deadlines", "multipliers"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), low=2, high=MOST_POINTS))
        smallest = check_number("smallest_multiplier", self.smallest_multiplier, low=0.0, low_open=True, high=1.0)
        object.__setattr__(self, "smallest_multiplier", smallest)
        for name in ("deadline_spacing", "multiplier_spacing"):
            check_choice(name, getattr(self, name), SPACINGS)


def _between(low: FloatArray, high: FloatArray, points: int, spacing: str) -> FloatArray:
    """Points from one end to the other, in a new first axis."""
    where = np.linspace(0.0, 1.0, points).reshape(-1, *(1,) * low.ndim)
    if spacing == "linear":
        return np.asarray(low + where * (high - low))
    return np.asarray(np.exp(np.log(low) + where * (np.log(high) - np.log(low))))


def multi_spin(users: Users, cell: Cell, grid: Grid | None = None) -> Decision:
    """Algorithm 1 of the paper: own lengths by a grid search over a latency phi and a multiplier lambda of the band.

    At each point the lengths at which another token would be worth its band are rounded to the nearest whole ones and
    clipped to the cell's range, the band is split so that all finish together, and the best goodput over the grid is
    kept. Source: paper, Lemma 3, Proposition 1 and Appendix G. The ranges are those of the appendix; where the shortest
    draft is not one token they begin and end where the same argument puts them, and where it is none the decision of a
    server that decodes alone is tried, too. With ``a = -ln alpha`` the paper's length is

        L = (phi - u) / T,   u = (2 T / a) omega(a (phi + T) / (2 T) + c),   c = ln(a / (2 T)) + ln kappa,

    where omega is the Wright omega function, ``omega(x) = W_0(exp(x))``, whose argument does not overflow.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system, with a power density and a verification time that does not depend on the lengths.
    grid
        The points; :class:`Grid` with its defaults where none is given.

    Returns
    -------
    Decision
        Lengths and shares. Shape (..., K).

    Raises
    ------
    ValueError
        If the cell is of another kind, or the users have acceptance curves.
    """
    _check(cell)
    refuse_curves(users, "multi_spin")
    grid, problem = Grid() if grid is None else grid, Problem.of(users, cell)
    chunk = max(_CHUNK // (grid.multipliers * users.num_users), 1)
    parts = range(0, max(len(problem.alpha), 1), chunk)
    found = [_best_point(problem[first : first + chunk], cell, grid) for first in parts]
    return whole_decision(problem, WholeLengths.joined(found), users)


def _check(cell: Cell) -> None:
    """Refuse cells for which the paper's closed form does not hold."""
    if cell.power != "density":
        raise ValueError(f"multi_spin needs a cell with power 'density', got {shown(cell.power)}")
    server = cell.verification
    if not isinstance(server, AffineVerification):
        raise ValueError("multi_spin needs a verification time that does not depend on the lengths, got a table")
    if server.per_token != 0.0:
        raise ValueError(
            "multi_spin needs a verification time that does not depend on the lengths: verification.per_token must be "
            f"0, got {shown(server.per_token)}"
        )


def _best_point(problem: Problem, cell: Cell, grid: Grid) -> WholeLengths:
    """Best of the grid's lengths for each row."""
    server, low, high = server_of(cell, problem.num_users), cell.min_draft_length, cell.max_draft_length
    curves = problem.curves
    whole_band, share = curves.drafting_time + curves.scale, curves.drafting_time + problem.num_users * curves.scale
    soonest = low * whole_band.max(axis=-1) if low else whole_band.min(axis=-1)
    latest = high * share.max(axis=-1)
    # The multiplier at which nobody makes more than the shortest draft even at the latest deadline; in logarithms, as
    # nobody's tokens may be worth anything.
    spare = latest[:, None] - low * curves.drafting_time
    largest = 2.0 * np.log(spare) - np.log(curves.scale) + np.log(problem.gain) - problem.decay * (low + 1.0)
    largest = largest.max(axis=-1) - np.log(latest)
    ends = np.array(grid.smallest_multiplier), np.array(1.0)
    multipliers = largest[:, None] + np.log(_between(*ends, grid.multipliers, grid.multiplier_spacing))
    shortest = best = play_whole(problem, server, np.full(problem.alpha.shape, float(low)))
    deadlines = _between(soonest, latest, grid.deadlines, grid.deadline_spacing).T
    step = max(_CHUNK // max(multipliers.size * problem.num_users, 1), 1)
    for first in range(0, grid.deadlines, step):
        some = deadlines[:, first : first + step, None, None]
        lengths = _stationary_lengths(problem, some, multipliers[:, None, :, None])
        flat = len(some), some.shape[1] * grid.multipliers, problem.num_users
        options = np.clip(np.rint(lengths), low, high).reshape(flat)
        # Neighbours on the grid often have the same lengths: they are played once.
        again = np.zeros(options.shape[:2], dtype=bool)
        again[:, 1:] = (options[:, 1:] == options[:, :-1]).all(axis=-1)
        options[again] = np.nan
        best = best.better(best_option(problem, server, options, shortest.deadline[:, None]))
    return best


def _stationary_lengths(problem: Problem, deadline: FloatArray, multiplier: FloatArray) -> FloatArray:
    """Real lengths at deadlines, s, and logarithms of multipliers of the whole band. Shape (M, P, C, K)."""
    curves, everybody = problem.curves, np.s_[:, None, None, :]
    time, scale = curves.drafting_time[everybody], curves.scale[everybody]
    decay, gain = np.maximum(problem.decay, _SLOWEST)[everybody], problem.gain[everybody]
    shift = np.log(decay / (2.0 * time)) + 0.5 * (multiplier + np.log(scale) + np.log(deadline) - np.log(gain))
    tokens = decay * (deadline + time) / (2.0 * time)
    omega = wrightomega(tokens + shift)
    # omega + ln omega is its argument: where that is large, this form of the same length keeps its digits.
    steep = (tokens > 1.0) & (omega > 1.0)
    long = 2.0 / decay * (np.log(np.where(steep, omega, 1.0)) - shift) - 1.0
    return np.where(steep, long, deadline / time - 2.0 / decay * omega)

"""The optimisation problem of a batch of cells, each within a piece on which the verification time is affine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.present_users import refuse_absent
from multispin_gym.baselines.solver.pieces import Pieces
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.baselines.solver.token_tables import TokenTables
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import check_survival
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.users import Users

# exp(-700) is the smallest power that keeps its precision; a smaller acceptance rate yields no more tokens.
_STEEPEST = 700.0


def check_finite(**results: FloatArray) -> None:
    """Refuse results that left the range of numbers on their way, with a RuntimeError."""
    for name, values in results.items():
        if not np.isfinite(values).all():
            raise RuntimeError(
                f"the solver found no finite {name}: the cell's payload, bandwidth, noise, power and gains take it out "
                "of the range of numbers"
            )


def marginal_of(length: FloatArray, weight: FloatArray, gain: FloatArray, decay: FloatArray) -> FloatArray:
    """Derivative of weighted expected tokens by the length, element by element; see :class:`Problem`."""
    return weight * gain * np.exp(-decay * (length + 1.0))


def real_length(value: FloatArray, price: FloatArray, decay: FloatArray) -> FloatArray:
    """Length at which a token is worth its price, of which no bounds are kept, element by element.

    ``value`` is a user's weight times its gain; see :class:`Problem`.
    """
    return np.log(value / price) / decay - 1.0


def whole_length(weight: FloatArray, price: FloatArray, decay: FloatArray) -> FloatArray:
    """Whole length up to which every token is worth its price, of which no bounds are kept, element by element."""
    return np.ceil(np.log(weight / price) / decay) - 1.0


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of relaxed problems: one row for each pair of a cell and a piece.

    Maximises the score of ``low <= L <= high`` with ``least <= n = sum(L_k + 1) <= most`` where the round takes
    ``T(L) + base + slope * n``. The score is the objective's total of the users' tokens over that time; with a price of
    time the total less the price of that time.

    The solvers see weighted sums only: see :meth:`linearised`.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    alpha
        Acceptance rates. Shape (M, K).
    terms
        Their :func:`multispin_gym.physics.acceptance.token_terms`. Shape (M, K) each.
    weight
        Weights of the users' tokens in the weighted sum. Shape (M, K).
    objective
        What is maximised.
    importance
        The users' weights as the objective's total takes them. Shape (M, K).
    decay, gain
        ``a = -ln alpha`` and ``a / (1 - alpha)``, so that ``N'(L) = gain exp(-a (L + 1))``. Shape (M, K).
    low, high
        Range of the draft lengths. Shape (M, K).
    base, slope, least, most
        The verification piece of each row. Shape (M,).
    time_price
        Tokens that a second costs, or NaN where the score is a ratio. Shape (M,).
    tables
        The users' own acceptance curves, in place of their rates; None where they have none.
    """

    curves: ShareCurves
    alpha: FloatArray
    terms: tuple[FloatArray, FloatArray]
    weight: FloatArray
    objective: Objective
    importance: FloatArray
    decay: FloatArray
    gain: FloatArray
    low: FloatArray
    high: FloatArray
    base: FloatArray
    slope: FloatArray
    least: FloatArray
    most: FloatArray
    time_price: FloatArray
    tables: TokenTables | None = None

    @classmethod
    def of(
        cls,
        users: Users,
        cell: Cell,
        objective: Objective | None = None,
        time_price: FloatArray | None = None,
    ) -> Problem:
        """Build the problem of a batch of cells, one row each, their verification time zero until :meth:`in_piece`.

        The users have shape (..., K), whose batch axes are flattened. The objective is the sum token goodput by
        default; its weights must fit the users. ``time_price``, token/s, broadcasts to shape (...,).
        """
        refuse_absent(users, "a solver")
        check_survival(users, cell)
        alpha, *terms = (a.reshape(-1, users.num_users) for a in (users.acceptance_rate, *users.token_terms))
        with np.errstate(divide="ignore", invalid="ignore"):
            decay = np.minimum(-np.log(alpha), _STEEPEST) + 0.0
            gain = np.where(alpha == 1.0, 1.0, decay / (1.0 - alpha))
        goal = Objective() if objective is None else objective
        importance = np.broadcast_to(goal.total.importance(goal.weights_of(users.num_users)), alpha.shape)
        price, none = np.nan if time_price is None else time_price, np.zeros(len(alpha))
        return cls(
            ShareCurves.of(users, cell),
            alpha,
            (terms[0], terms[1]),
            importance,
            goal,
            importance,
            decay,
            gain,
            np.full(alpha.shape, float(cell.min_draft_length)),
            np.full(alpha.shape, float(cell.max_draft_length)),
            none,
            none,
            none,
            none,
            np.broadcast_to(price, users.batch_shape).reshape(-1).astype(np.float64),
            TokenTables.of_users(users, cell.max_draft_length),
        )

    @property
    def num_users(self) -> int:
        """Number of users K."""
        return int(self.alpha.shape[-1])

    def __getitem__(self, rows: Any) -> Problem:
        """Select rows, or repeat them, with any NumPy index over the first axis."""
        if isinstance(rows, np.ndarray) and rows.size == len(self.alpha) == 1 and rows.dtype != bool:
            # There is but one row to select.
            return self
        whole = ("objective", "terms", "tables")
        picked = {name: array[rows] for name, array in self.__dict__.items() if name not in whole}
        tables = None if self.tables is None else self.tables[rows]
        return self._with(terms=(self.terms[0][rows], self.terms[1][rows]), tables=tables, **picked)

    def _with(self, **changed: Any) -> Problem:
        """The same problem with other fields; in less time than :func:`dataclasses.replace` takes."""
        problem = Problem.__new__(Problem)
        problem.__dict__.update(self.__dict__, **changed)
        return problem

    def in_piece(self, pieces: Pieces, index: Any) -> Problem:
        """The same cells, each in the piece of the given index: with its verification time and range. Shape (M,)."""
        return self._with(
            high=np.minimum(self.high, pieces.high[index][:, None]),
            base=pieces.base[index],
            slope=pieces.slope[index],
            least=pieces.least[index],
            most=pieces.most[index],
        )

    def on_line(self, base: FloatArray, slope: FloatArray, weight: FloatArray) -> Problem:
        """The same rows with a verification time that is affine for any number of tokens, and other weights.

        Shapes: base, s, and slope, s per token, (M,); weight (M, K).
        """
        without = np.full(len(self.alpha), np.inf)
        return self._with(base=base, slope=slope, least=-without, most=without, weight=weight)

    def linearised(self, lengths: FloatArray) -> Problem:
        """The same rows with the weighted sum that touches the objective's total at some lengths. Shape (M, K).

        It is nowhere below the total, so that what bounds it bounds the objective.
        """
        if self.objective.total.linear:
            return self
        return self._with(weight=self.objective.total.tangent(self.expected(lengths), self.importance))

    def as_weighted_sum(self) -> Problem:
        """The same rows with their weighted sum for the objective."""
        return self._with(objective=Objective(), importance=self.weight)

    def score(self, lengths: FloatArray, seconds: FloatArray) -> FloatArray:
        """Score of rounds that take a given time, s: token/s, or tokens where time has a price.

        Shapes: lengths (M, K), seconds and scores (M,); or, for C rounds of each row, (M, C, K) and (M, C).
        """
        return self.value(self.total(lengths), seconds)

    def total(self, lengths: FloatArray) -> FloatArray:
        """The objective's total of the users' tokens. Shapes: as in :meth:`score`."""
        importance = self.importance[:, None] if lengths.ndim == 3 else self.importance
        return self.objective.total.of(self.expected(lengths), importance)

    def value(self, total: FloatArray, seconds: FloatArray) -> FloatArray:
        """Score of rounds with a given total of tokens and time, s; also several in a row. Shapes: (M,) or (M, C)."""
        price = self.time_price if total.ndim == 1 else self.time_price[:, None]
        return np.asarray(np.where(np.isnan(price), total / seconds, total - price * seconds))

    def time_price_at(self, score: FloatArray) -> FloatArray:
        """Tokens that a second is worth at a score: the score itself where it is a ratio, its given price elsewhere.

        Shapes: (M,); token/s.
        """
        return np.where(np.isnan(self.time_price), score, self.time_price)

    def expected(self, lengths: FloatArray) -> FloatArray:
        """Expected tokens of each user at real lengths (M, K), or at C whole ones of each row, (M, C, K)."""
        if self.tables is not None:
            return self.tables.tokens(lengths) if lengths.ndim == 2 else self.tables.whole_tokens(lengths)
        row = (slice(None), None) if lengths.ndim == 3 else slice(None)
        return mean_tokens(self.alpha, lengths, (self.terms[0][row], self.terms[1][row]))

    def tokens(self, lengths: FloatArray) -> FloatArray:
        """Weighted expected tokens of each user at real lengths. Shapes: (M, K)."""
        return np.asarray(self.weight * self.expected(lengths))

    def marginal_tokens(self, lengths: FloatArray) -> FloatArray:
        """Derivative of :meth:`tokens` by the length, tokens per drafted token. Shapes: (M, K)."""
        if self.tables is not None:
            return np.asarray(self.weight * self.tables.marginal(lengths))
        return np.asarray(marginal_of(lengths, self.weight, self.gain, self.decay))

    def curvature(self, lengths: FloatArray) -> FloatArray:
        """Minus the derivative of :meth:`marginal_tokens` by the length. Shapes: (M, K)."""
        if self.tables is not None:
            return np.asarray(self.weight * self.tables.bend(lengths))
        return np.asarray(self.decay * self.marginal_tokens(lengths))

    def gains(self, drafts: FloatArray, user: np.ndarray | None = None) -> FloatArray:
        """Weighted tokens that single drafts add, of which is given which of its user's drafts each is.

        Shapes: E drafts of each user in turn, (M, K, E) or what broadcasts to it; or, with their users, a list of
        drafts of a row, (M, P) each. Gains have the shape of the drafts.
        """
        row = np.arange(len(self.alpha))[:, None]
        if user is None:
            row, user = row[:, None], np.arange(self.num_users)[:, None]
        if self.tables is not None:
            return np.asarray(self.weight[row, user] * self.tables.gains(row, user, drafts))
        return np.asarray(self.weight[row, user] * self.alpha[row, user] ** drafts)

    def verification_time(self, lengths: FloatArray) -> FloatArray:
        """Verification time by the row's piece, s. Shapes: lengths (M, K), times (M,)."""
        return np.asarray(self.base + self.slope * (lengths.sum(axis=-1) + self.num_users))

    def best_real_lengths(self, price: FloatArray) -> FloatArray:
        """Real lengths in the row's range that maximise ``tokens - price * L`` user by user.

        The price of a drafted token, in tokens, broadcasts to shape (M, K), which the lengths have.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.tables is not None:
                return self._in_range(self.tables.best_real(price / self.weight), price)
            return self._in_range(real_length(self.weight * self.gain, price, self.decay), price)

    def best_whole_lengths(self, price: FloatArray) -> FloatArray:
        """Whole lengths in the row's range that maximise ``tokens - price * L`` user by user.

        The l-th draft adds ``weight * alpha**l`` tokens, or the weight times the curve's entry, so it is made while
        that exceeds its price. Shapes and units are those of :meth:`best_real_lengths`.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.tables is not None:
                return self._in_range(self.tables.best_whole(price / self.weight), price)
            return self._in_range(whole_length(self.weight, price, self.decay), price)

    def _in_range(self, wanted: FloatArray, price: FloatArray) -> FloatArray:
        """Lengths that are wanted at a price, cut to the row's range: the longest ones where it is not positive."""
        wanted = np.where(price > 0.0, wanted, np.inf)
        return np.asarray(np.clip(np.where(np.isnan(wanted), self.low, wanted), self.low, self.high))

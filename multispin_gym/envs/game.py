"""The game behind every environment: N cells played round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from multispin_gym._validation import (
    MOST_ROUNDS,
    MOST_ROWS,
    MOST_USERS,
    FloatArray,
    IntArray,
    check_integer,
    check_number,
    shown,
)
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.rewards import RewardRule
from multispin_gym.envs.variants import Variant
from multispin_gym.physics.rounds import Decision, RoundOutcome, compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.episodes import CellStreams
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from multispin_gym.envs.clock.service import Service

# Values of one array that are worked on at a time.
_PIECE_VALUES = 16_384
_RETAINED_BYTES = 2**24


@dataclass(eq=False, slots=True)
class PlayedRound:
    """A round as it was played.

    Parameters
    ----------
    users
        The users of the round. Shape (N, K).
    decision
        What was decided. Shape (N, K).
    outcome
        What came of it.
    before
        Rounds of its episode before it. Shape (N,).
    reward
        What the round is paid. Shape (N,).
    optimum
        The optimum of the round, token/s, or None where it is not computed. Shape (N,).
    service
        What came of the round for requests, where time passes.
    """

    users: Users
    decision: Decision
    outcome: RoundOutcome
    before: IntArray
    reward: FloatArray
    optimum: FloatArray | None
    service: Service | None = None


class Game:
    """N cells of one scenario, each with its own users, channels and random streams.

    Parameters
    ----------
    variant
        The environment's row.
    scenario
        A scenario, or the name or path of one; by default the variant's.
    num_users
        Number of users K; by default the scenario's.
    num_rounds
        Rounds of an episode; by default the scenario's, or without limit where there is a ``max_time``.
    min_draft_length
        Least draft length, token; by default the scenario's. 0 lets users opt out.
    max_time
        Seconds of play after which an episode ends: with the round that reaches them.
    sampled
        Whether tokens are sampled rather than expected.
    num_rows
        Number of cells N.
    **payment
        What rounds are paid; see :class:`multispin_gym.envs.rewards.RewardRule`.

    Raises
    ------
    ValueError
        If a value is out of range or the scenario is unknown.
    TypeError
        If a value is of the wrong type.
    """

    def __init__(
        self,
        variant: Variant,
        scenario: str | PathLike[str] | Scenario | None = None,
        *,
        num_users: int | None = None,
        num_rounds: int | None = None,
        min_draft_length: int | None = None,
        max_time: float | None = None,
        sampled: bool = False,
        num_rows: int = 1,
        **payment: Any,
    ) -> None:
        self._choose(variant, scenario, num_users, num_rounds, min_draft_length, num_rows)
        self.max_time = None if max_time is None else check_number("max_time", max_time, low=0.0, low_open=True)
        self._endless = max_time is not None and num_rounds is None
        self._clock, self._latency = np.zeros(self.num_rows), np.zeros(self.num_rows)
        self.rule = RewardRule(self.cell, self.num_users, variant.action_set, **payment)
        if not isinstance(sampled, (bool, np.bool_)):
            raise TypeError(f"sampled must be True or False, got {sampled!r}")
        self.observations = variant.observations(self.scenario, self.num_users)
        self.actions = variant.actions(self.cell, self.num_users)
        self._streams = CellStreams(self.scenario, self.num_users, self.num_rows, self.num_rounds, bool(sampled))
        size = max(1, _PIECE_VALUES // self.num_users)
        self._pieces = [slice(start, start + size) for start in range(0, self.num_rows, size)]

    def _choose(
        self,
        variant: Variant,
        scenario: str | PathLike[str] | Scenario | None,
        num_users: int | None,
        num_rounds: int | None,
        min_draft_length: int | None,
        num_rows: int,
    ) -> None:
        """Set what is played and how much of it."""
        chosen = variant.scenario if scenario is None else scenario
        self.scenario = chosen if isinstance(chosen, Scenario) else load_scenario(chosen)
        if min_draft_length is not None:
            cell = replace(self.scenario.cell, min_draft_length=min_draft_length)
            self.scenario = replace(self.scenario, cell=cell)
        self.cell = variant.cell(self.scenario)
        default_users, default_rounds = self.scenario.num_users, self.scenario.num_rounds
        self.num_users = (
            default_users if num_users is None else check_integer("num_users", num_users, low=1, high=MOST_USERS)
        )
        self.num_rounds = (
            default_rounds if num_rounds is None else check_integer("num_rounds", num_rounds, low=1, high=MOST_ROUNDS)
        )
        self.num_rows = check_integer("num_envs", num_rows, low=1, high=MOST_ROWS)
        if self.num_rows > 1:
            # glibc hands freed arrays back to the system until a program has freed a large one; this saves a fifth.
            np.empty(_RETAINED_BYTES, np.uint8)
        self._indices = np.arange(self.num_rows)
        self._users: Users | None = None

    @property
    def ready(self) -> bool:
        """Whether every row has an episode."""
        return self._users is not None

    @property
    def users(self) -> Users:
        """The users of the round about to be played. Shape (N, K)."""
        if self._users is None:
            raise ResetNeeded("there are no users before the first reset(): call reset() first")
        return self._users

    @property
    def mean_users(self) -> Users:
        """The users of each row's episode with their mean channel gains, before fading. Shape (N, K)."""
        return self._streams.mean_users

    @property
    def uniforms(self) -> FloatArray | None:
        """Acceptance draws of the round about to be played, where sampled. Shape (N, K); not to be kept or changed."""
        return self._streams.uniforms

    @property
    def elapsed(self) -> IntArray:
        """Rounds played in each row's episode. Shape (N,); not to be kept or changed."""
        return self._streams.position

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Whether each row's episode is over. Shape (N,)."""
        if self.max_time is None:
            return self.elapsed >= self.num_rounds
        late = self._clock >= self.max_time
        return late if self._endless else late | (self.elapsed >= self.num_rounds)

    @property
    def seeded(self) -> NDArray[np.bool_]:
        """Whether each row has random streams. Shape (N,)."""
        return self._streams.seeded

    def seed(self, row: int, seed: int) -> None:
        """Give a row the random streams of a seed."""
        self._streams.seed(row, seed)

    def begin(self, rows: IntArray) -> None:
        """Begin new episodes in some rows."""
        self._streams.begin(rows)
        self._clock[rows] = 0.0
        self._users = self._streams.users

    def advance(self, begun: IntArray | None = None) -> None:
        """Move on to the next round, and begin new episodes in some rows."""
        self._streams.advance(None if begun is None else np.setdiff1d(self._indices, begun, assume_unique=True))
        if self.max_time is not None:
            self._clock += self._latency
        if begun is not None:
            self.begin(begun)
        self._users = self._streams.users

    def observe(self) -> Observation:
        """Return the observation of the round about to be played, in new arrays of shape (N, K)."""
        return self.observations.encode(self.users, self._streams.gain_db)

    def play(self, actions: NDArray[Any]) -> PlayedRound:
        """Play the round in every row; the users stay until :meth:`advance`."""
        return self._play(lambda rows: self.actions.decode_trusted(actions[rows]))

    def play_decision(self, decision: Decision) -> PlayedRound:
        """Play a decision as it is, where no action needs to stand for it; otherwise as :meth:`play`.

        Shapes: ``decision`` (N, K).
        """
        lengths, shares = decision.draft_lengths, decision.bandwidth_shares
        return self._play(lambda rows: Decision.trusted(lengths[rows], shares[rows]))

    def _play(self, decide: Callable[[slice], Decision]) -> PlayedRound:
        users, uniforms = self.users, self._streams.uniforms
        if len(self._pieces) == 1:
            decision = decide(self._pieces[0])
            outcome = compute_round(users, self.cell, decision, uniforms)
        else:
            decision, outcome = self._play_pieces(users, decide, uniforms)
        self._latency = outcome.latency
        optimum = self.rule.optimum(users)
        reward = self.rule.reward(outcome, optimum)
        return PlayedRound(users, decision, outcome, self._streams.position.copy(), reward, optimum)

    def _play_pieces(
        self, users: Users, decide: Callable[[slice], Decision], uniforms: FloatArray | None
    ) -> tuple[Decision, RoundOutcome]:
        """Play in pieces whose intermediate results stay in a core's cache; rows do not depend on each other."""
        decision: dict[str, NDArray[Any]] = {}
        outcome: dict[str, NDArray[Any]] = {}
        for rows in self._pieces:
            some = Users.trusted(
                **{
                    name: tuple(part[rows] for part in value) if isinstance(value, tuple) else value[rows]
                    for name, value in vars(users).items()
                }
            )
            decided = decide(rows)
            parts = decided, compute_round(some, self.cell, decided, None if uniforms is None else uniforms[rows])
            for whole, part in zip((decision, outcome), parts, strict=True):
                for name, values in vars(part).items():
                    if name not in whole:
                        whole[name] = np.empty((self.num_rows, *values.shape[1:]), values.dtype)
                    whole[name][rows] = values
        return Decision.trusted(**decision), RoundOutcome(**outcome)

    def state(self) -> dict[str, Any]:
        """Return all that the rounds to come depend on, for :meth:`restore`: arrays of numbers by name."""
        return {"clock": self._clock.copy(), "latency": self._latency.copy(), **self._streams.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in a game made with the same arguments."""
        self._streams.restore(state)
        for name in ("clock", "latency"):
            if not (state[name] >= 0.0).all():
                raise ValueError(f"the state's {name} must lie in [0, inf], got {shown(state[name])}")
        self._clock[...] = state["clock"]
        self._latency = np.array(state["latency"])
        self._users = self._streams.users

    def shown_limits(self, row: int, played: PlayedRound | None) -> tuple[int | None, float | None, float | None]:
        """Rounds of a row's episode, and where there is a clock when a round began and when the episode ends, s."""
        del row, played
        return self.num_rounds, None, None

    def nothing_played(self) -> PlayedRound:
        """Return zeros for a round that was not played, NaN for its optimum where rounds have one."""
        rows, shape = self.num_rows, (self.num_rows, self.num_users)
        decision = Decision.trusted(np.zeros(shape, np.int64), np.zeros(shape))
        of_users = {name: np.zeros(shape) for name in ("tokens", "drafting_time", "upload_time")}
        of_rounds = {name: np.zeros(rows) for name in ("verification_time", "latency", "goodput")}
        outcome = RoundOutcome.trusted(**of_users, **of_rounds)
        optimum = np.full(rows, np.nan) if self.rule.has_optimum else None
        return PlayedRound(self.users, decision, outcome, self.elapsed, np.zeros(rows), optimum)

    def before_first(self, rows: IntArray) -> dict[str, NDArray[Any]]:
        """What info says of some rows before their first round, unless it is 0. Shape (M,) each."""
        return {"optimum": np.full(rows.shape, np.nan)} if self.rule.has_optimum else {}

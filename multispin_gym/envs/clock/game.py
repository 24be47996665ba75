"""The game on a clock: rounds last, channels age, requests come, end and leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import sum_users
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.envs.clock.actions import ClockActionCodec
from multispin_gym.envs.clock.observations import ClockObservationCodec
from multispin_gym.envs.clock.payments import Payment
from multispin_gym.envs.clock.service import BETWEEN_KEYS, Service, serve, settle
from multispin_gym.envs.clock.slots import Slots
from multispin_gym.envs.clock.streams import ClockStreams
from multispin_gym.envs.clock.traffic import Comings
from multispin_gym.envs.clock.uploads import upload_times
from multispin_gym.envs.game import Game, PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.rewards import RewardRule
from multispin_gym.envs.variants import Variant
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario


class ClockGame(Game):
    """N cells of one scenario on their own clocks.

    Parameters
    ----------
    variant
        The environment's row.
    scenario
        The scenario.
    clock
        How time passes.
    num_users, num_rounds, min_draft_length, num_rows
        See :class:`multispin_gym.envs.game.Game`; rounds are not limited unless ``num_rounds`` is given or the clock
        has no end.
    optimum
        Whether the optimum of rounds is computed; not where acceptance rates are hidden.
    weights
        Weights of the slots' tokens in the reward.
    """

    _streams: ClockStreams  # type: ignore[assignment]
    actions: ClockActionCodec
    observations: ClockObservationCodec

    def __init__(
        self,
        variant: Variant,
        scenario: str | PathLike[str] | Scenario | None,
        clock: Clock,
        *,
        num_users: int | None = None,
        num_rounds: int | None = None,
        min_draft_length: int | None = None,
        num_rows: int = 1,
        optimum: bool | str = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._choose(variant, scenario, num_users, num_rounds, min_draft_length, num_rows)
        self.clock = clock
        if clock.hidden and optimum:
            raise ValueError(f"optimum must be False where acceptance rates are hidden, got {optimum!r}")
        self.max_time = clock.episode_seconds
        self._endless = self.max_time is not None and num_rounds is None
        self.rule = RewardRule(self.cell, self.num_users, variant.action_set, "goodput", optimum, weights)
        self._objective = None if clock.requests is None else clock.requests.time_per_token_objective
        self._payment = Payment(clock, self.num_users, weights)
        observations = variant.observations(self.scenario, self.num_users)
        assert isinstance(observations, ClockObservationCodec)
        self.observations = observations
        self.actions = ClockActionCodec(self.cell, self.num_users, clock)
        self._streams = ClockStreams(self.scenario, clock, self.num_users, self.num_rows)
        self._latency = np.zeros(self.num_rows)
        self._held: NDArray[np.bool_] | None = None
        self._service = self._before_first = Service.none(self.num_rows, self.num_users)

    @property
    def time(self) -> FloatArray:
        """The time of each row's episode, s. Shape (N,); not to be kept or changed."""
        return self._streams.time

    @property
    def slots(self) -> Slots:
        """The requests under way; not to be changed."""
        return self._streams.traffic.slots

    @property
    def waiting(self) -> IntArray:
        """How many requests wait in front of each cell. Shape (N,); not to be kept or changed."""
        return self._streams.traffic.queue.length

    @property
    def arrives(self) -> bool:
        """Whether requests come and go, so that slots may be empty."""
        return self._streams.traffic.arrives

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Whether each row's episode is over. Shape (N,)."""
        rounds = np.zeros(self.num_rows, np.bool_) if self._endless else self.elapsed >= self.num_rounds
        return rounds if self.max_time is None else rounds | (self.time >= self.max_time)

    def begin(self, rows: IntArray) -> None:
        """Begin new episodes in some rows."""
        self._before_first = self._between(Service.none(self.num_rows, self.num_users), *self._streams.begin(rows))

    def advance(self, begun: IntArray | None = None) -> None:
        """Move on to the next round, and begin new episodes in some rows."""
        service, streams = self._service, self._streams
        settle(streams.traffic.slots, service, streams.time + self._latency)
        gone = service.finished | service.given_up
        came, waited = streams.advance(self._latency, gone, self._held, begun)
        # Of rows that have begun it says what happened before their first round.
        self._before_first = self._between(service, came, waited)

    def _between(self, service: Service, came: Comings, waited: FloatArray) -> Service:
        """Say what happened since the round before, or since the beginning."""
        service.arrived, service.refused, service.expired = came.arrived, came.refused, came.expired
        service.waited, service.time = waited, self._streams.time.copy()
        self._users = self._streams.users
        return service

    def observe(self) -> Observation:
        """Return the observation of the round about to be played, in new arrays."""
        return self.observations.show(self._streams)

    def play(self, actions: NDArray[Any]) -> PlayedRound:
        """Play the round in every row; the users stay until :meth:`advance`."""
        return self._serve(self.actions.decode_trusted(actions))

    def play_decision(self, decision: Decision) -> PlayedRound:
        """Play a decision as it is. Shapes: ``decision`` (N, K)."""
        return self._serve(decision)

    def _serve(self, decision: Decision) -> PlayedRound:
        streams, slots = self._streams, self._streams.traffic.slots
        users, closed = self.users, decision.give_up
        given_up = np.zeros(slots.present.shape, np.bool_) if closed is None else closed & slots.present
        self._held = None if closed is None else closed & ~slots.present
        if given_up.any():
            users = users.without(given_up)
        decision = self._allowed(users, decision)
        upload = upload_times(streams, users, self.cell, decision) if self.clock.fading_within_rounds else None
        outcome = compute_round(users, self.cell, decision, streams.uniforms, upload)
        self._latency = outcome.latency
        self._service = serve(slots, decision, outcome, given_up, streams.time, self._objective)
        optimum = self.rule.optimum(users)
        reward = self._payment.reward(slots, self._service, outcome)
        return PlayedRound(users, decision, outcome, streams.position.copy(), reward, optimum, self._service)

    def _allowed(self, users: Users, decision: Decision) -> Decision:
        """A decision with nothing for absent users, the band split among the rest, and the round's time limit."""
        lengths, shares = decision.draft_lengths, decision.bandwidth_shares
        if users.present is not None and not users.present.all():
            lengths, kept = lengths * users.present, shares * users.present
            total = sum_users(kept)
            shares = kept * (sum_users(shares) / np.where(total > 0.0, total, 1.0))[:, None]
        limit = np.inf if self.clock.round_timeout is None else self.clock.round_timeout
        cutoff = np.inf if decision.cutoff is None else decision.cutoff
        allowed = Decision.trusted(lengths, shares)
        vars(allowed)["cutoff"] = np.broadcast_to(np.minimum(cutoff, limit), (self.num_rows,))
        return allowed

    def state(self) -> dict[str, Any]:
        """Return all that the rounds to come depend on, for :meth:`restore`: arrays of numbers by name."""
        return self._streams.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in a game made with the same arguments."""
        self._streams.restore(state)
        self._users = self._streams.users if self.seeded.all() else None

    def shown_limits(self, row: int, played: PlayedRound | None) -> tuple[int | None, float | None, float | None]:
        """Rounds of a row's episode, when a round began, or the one about to be played does, and the end, s."""
        began = float(self.time[row])
        if played is not None and played.service is not None:
            service = played.service
            began = float(service.time[row] - service.waited[row] - played.outcome.latency[row])
        return (None if self._endless else self.num_rounds), began, self.max_time

    def nothing_played(self) -> PlayedRound:
        """Return zeros for a round that was not played, NaN for its optimum where rounds have one.

        What happened before the first round is there: who came, and how long it took for somebody to come.
        """
        played = super().nothing_played()
        nothing = Service.none(self.num_rows, self.num_users)
        for name in BETWEEN_KEYS:
            setattr(nothing, name, getattr(self._before_first, name).copy())
        played.service = nothing
        return played

    def before_first(self, rows: IntArray) -> dict[str, NDArray[Any]]:
        """What info says of some rows before their first round, unless it is 0. Shape (M,) each."""
        found = {name: getattr(self._before_first, name)[rows] for name in BETWEEN_KEYS}
        return {**super().before_first(rows), **found, "latency": found["waited"]}

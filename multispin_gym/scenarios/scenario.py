"""Scenarios: where a cell's users and channels come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym import _toml
from multispin_gym._validation import (
    LARGEST,
    MOST_DECIBELS,
    MOST_ROUNDS,
    MOST_USERS,
    SMALLEST,
    FloatArray,
    check_choice,
    check_integer,
    check_quantity,
    shown,
)
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.path_loss import PathLoss, db_to_gain, gain_to_db, watt_to_dbm
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock, check_coherence, check_round
from multispin_gym.scenarios.files import PARSERS
from multispin_gym.scenarios.mean_gains import check_gains, check_mean_gain, mean_gain_db
from multispin_gym.scenarios.mixtures import RangeMixture
from multispin_gym.scenarios.populations import (
    AcceptanceClass,
    DeviceClass,
    check_entries,
    check_range,
    check_text,
    rate_mixture,
    speed_mixture,
)
from multispin_gym.scenarios.sampling import sample_tasks_and_users
from multispin_gym.scenarios.sources import Source

RATES = ("own", "task")
_INDEPENDENT_RAYLEIGH = Fading()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A cell, and the laws from which its users and channels are drawn.

    Parameters
    ----------
    name, description
        Short name, and what the scenario is for.
    cell
        The shared system.
    acceptance
        Classes of tasks and model pairs that users are drawn from; at least one.
    devices
        Classes of devices that users are drawn from; at least one.
    distance
        Least and largest distance to the base station, m; uniform between them, in [1e-50, 1e50].
    transmit_power_dbm
        Least and largest transmit power, dBm; uniform between them, in [-1000, 1000].
    path_loss
        Mean channel gain at a distance.
    mean_gain
        Instead of the two: least and largest mean channel gain, linear; uniform between them, in [1e-50, 1e50].
    fading
        Law of the channel from round to round.
    num_users
        Users in a cell unless told otherwise; in [1, 100000].
    num_rounds
        Rounds of an episode; in [1, 10000000].
    reference_power
        Transmit power of the users that are drawn, W; in [1e-50, 1e50]. What a user's own power lies above it is part
        of its channel gain: only the product of the two matters.
    acceptance_rates
        Which acceptance rate a user has: ``"own"``, drawn from its task's law, or ``"task"``, that law's mean.
    clock
        What happens as time passes, and which requests come; None where there are only rounds.
    sources
        Where the numbers come from, as the file says it.

    Raises
    ------
    ValueError
        If a value is out of range, or both or neither form of the mean channel gain are given.
    TypeError
        If a value is of the wrong type.
    """

    name: str
    cell: Cell
    acceptance: Sequence[AcceptanceClass]
    devices: Sequence[DeviceClass]
    distance: tuple[float, float] | None = None
    transmit_power_dbm: tuple[float, float]
    path_loss: PathLoss | None = None
    mean_gain: tuple[float, float] | None = None
    description: str = ""
    fading: Fading = _INDEPENDENT_RAYLEIGH
    num_users: int = 8
    num_rounds: int = 100
    reference_power: float = 0.01
    acceptance_rates: Literal["own", "task"] = "own"
    clock: Clock | None = None
    sources: Sequence[Source] = ()

    def __post_init__(self) -> None:
        check_text("name", self.name)
        check_text("description", self.description, empty=True)
        check_mean_gain(self.distance, self.path_loss, self.mean_gain)
        for name, kind in (("cell", Cell), ("path_loss", PathLoss), ("fading", Fading), ("clock", Clock)):
            missing = getattr(self, name) is None and name in ("path_loss", "clock")
            if not isinstance(value := getattr(self, name), kind) and not missing:
                raise TypeError(f"{name} must be a {kind.__name__}, got {shown(value)}")
        check_coherence(self.clock, self.fading)
        check_choice("acceptance_rates", self.acceptance_rates, RATES)
        large_scale = "distance" if self.mean_gain is None else "mean_gain"
        checked: dict[str, Any] = {
            "acceptance": check_entries("acceptance", self.acceptance, AcceptanceClass, 1),
            "devices": check_entries("devices", self.devices, DeviceClass, 1),
            "sources": check_entries("sources", self.sources, Source, 0),
            large_scale: check_range(large_scale, getattr(self, large_scale), low=SMALLEST, high=LARGEST),
            "transmit_power_dbm": check_range(
                "transmit_power_dbm", self.transmit_power_dbm, low=-MOST_DECIBELS, high=MOST_DECIBELS
            ),
            "num_users": check_integer("num_users", self.num_users, low=1, high=MOST_USERS),
            "num_rounds": check_integer("num_rounds", self.num_rounds, low=1, high=MOST_ROUNDS),
            "reference_power": check_quantity("reference_power", self.reference_power),
        }
        vars(self).update(checked)
        check_round(self.clock, self.cell, self.num_users)
        check_gains(self.observation_bounds["channel_gain_db"], large_scale)

    @cached_property
    def mixtures(self) -> tuple[RangeMixture, RangeMixture]:
        """Laws of the users' acceptance rates and of their drafting speeds."""
        return rate_mixture(self.acceptance, self.acceptance_rates), speed_mixture(self.devices)

    @cached_property
    def power_offset_db(self) -> FloatArray:
        """Least and largest transmit power above the reference power, dB. Shape (2,)."""
        return np.asarray(self.transmit_power_dbm) - watt_to_dbm(self.reference_power)

    @cached_property
    def observation_bounds(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of each observation; float32 numbers, the first below the second.

        ``acceptance_rate`` (1), ``drafting_speed`` (token/s) and ``channel_gain_db`` (dB: the gain, plus what the
        user's power lies above the reference power).
        """
        speeds = self.mixtures[1]
        slow, fast = (float(np.float32(speed)) for speed in (speeds.low, speeds.high))
        if slow == fast:
            slow, fast = 0.5 * slow, 2.0 * fast
        gains = np.sort(mean_gain_db((0.0, 1.0), self.distance, self.path_loss, self.mean_gain))
        weak, strong = (float(gain) for gain in gains + self.power_offset_db + self.fading.bounds_db)
        return {
            "acceptance_rate": (0.0, 1.0),
            "drafting_speed": (slow, fast),
            "channel_gain_db": (math.floor(weak) - 1.0, math.ceil(strong) + 1.0),
        }

    def sample_large_scale(
        self, rng: np.random.Generator, num_users: int | None = None, batch: int | tuple[int, ...] = ()
    ) -> Users:
        """Draw what stays fixed during an episode: everything but the fading.

        Parameters
        ----------
        rng
            The source of randomness.
        num_users
            Users in a cell; by default the scenario's own number.
        batch
            Shape of the batch of cells.

        Returns
        -------
        Users
            Users whose acceptance rates and drafting speeds are float32 numbers within the observation bounds, and
            whose gain is the mean gain with the power above the reference power folded in. Shape (*batch, K).

        Raises
        ------
        ValueError
            If the number of users is less than 1.
        TypeError
            If the number of users is not a whole number.
        """
        count = self.num_users if num_users is None else check_integer("num_users", num_users, low=1, high=MOST_USERS)
        shape = (batch, count) if isinstance(batch, int) else (*batch, count)
        return sample_tasks_and_users(self, rng, shape)[1]

    def sample_users(
        self, rng: np.random.Generator, num_users: int | None = None, batch: int | tuple[int, ...] = ()
    ) -> Users:
        """Draw the users of one round: everything that stays fixed during an episode, and the fading.

        Parameters
        ----------
        rng
            The source of randomness.
        num_users
            Users in a cell; by default the scenario's own number.
        batch
            Shape of the batch of cells.

        Returns
        -------
        Users
            Users exactly as an observation in float32 shows them. Shape (*batch, K).

        Raises
        ------
        ValueError
            If the number of users is less than 1.
        TypeError
            If the number of users is not a whole number.

        Examples
        --------
        >>> import numpy as np
        >>> from multispin_gym import load_scenario
        >>> load_scenario("default").sample_users(np.random.default_rng(0), num_users=4, batch=(2, 3)).batch_shape
        (2, 3)
        """
        users = self.sample_large_scale(rng, num_users, batch)
        gain = users.channel_gain * self.fading.sample(rng, users.channel_gain.shape)
        return Users.trusted(**{**vars(users), "channel_gain": self.db_to_gain(self.gain_to_db(gain))})

    def gain_to_db(self, gain: ArrayLike) -> NDArray[np.float32]:
        """Turn gains into what an observation shows.

        Parameters
        ----------
        gain
            Linear power gains, at least 0. Any shape.

        Returns
        -------
        numpy.ndarray
            Gains, dB, float32, clipped to the observation bounds; of the same shape.
        """
        return gain_to_db(gain, *self.observation_bounds["channel_gain_db"])

    def db_to_gain(self, gain_db: ArrayLike) -> FloatArray:
        """Turn observed gains into those that the round is played with.

        Parameters
        ----------
        gain_db
            Gains, dB. Any shape.

        Returns
        -------
        numpy.ndarray
            Linear power gains, float64, of the same shape; element by element the same in any shape.
        """
        return db_to_gain(gain_db)

    def to_toml(self) -> str:
        """Write the scenario as a TOML file.

        Returns
        -------
        str
            TOML from which :meth:`from_toml` builds an equal scenario.
        """
        return _toml.emit(_toml.tree(self))

    @classmethod
    def from_toml(cls, text: str) -> Scenario:
        """Read a scenario from TOML.

        Parameters
        ----------
        text
            The contents of a scenario file.

        Returns
        -------
        Scenario
            The scenario.

        Raises
        ------
        ValueError
            If the text is not TOML, a key is unknown or missing, or a value is out of range; the message names the
            dotted key.
        TypeError
            If a value is of the wrong type.
        """
        return _toml.build(cls, _toml.read(text), "", PARSERS)

"""The users of a cell: per-user arrays of what one round depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import BoolArray, FloatArray, check_array, check_mask, shown
from multispin_gym.physics.acceptance import (
    mean_tokens,
    sampled_tokens,
    tabled_samples,
    tabled_tokens,
    token_table,
    token_terms,
)


@dataclass(frozen=True, eq=False)
class Users:
    """The users of one cell, or of a batch of cells.

    The fields broadcast against each other; the last axis runs over the K users of a cell and all
    axes before it are batch axes. Arrays are stored read-only and C-contiguous, numbers as float64.

    Parameters
    ----------
    acceptance_rate
        Probability that the server's model accepts a drafted token, given that all before it were
        accepted; in [0, 1]. Shape (..., K).
    drafting_speed
        Speed at which the device's model drafts, token/s; positive. Shape (..., K).
    channel_gain
        Linear uplink power gain of this round; positive. Shape (..., K).
    transmit_power
        The device's power budget, W; positive. Shape (..., K).
    present
        Who is in the round, as booleans. Shape (..., K). None where everybody is. An absent user drafts and gains
        nothing and has no place in the server's batch, whatever is decided.
    survival
        Each user's own acceptance curve: the probabilities that the first i of its drafts are all accepted, for
        i = 1, 2, ..., S; in [0, 1], and not increasing with i. Shape (..., K, S), with S at least the longest draft of
        the cells that these users are in. It is what matters wherever it is given, and the acceptance rates are then
        only shown. None where the curve is ``acceptance_rate**i``.

    Raises
    ------
    ValueError
        If a value is out of range or NaN, a curve increases, the shapes do not broadcast, or there is no user axis.
    TypeError
        If a value is not numeric, or who is present is not given in booleans.

    Notes
    -----
    Both uplinks depend on power and gain through their product only.

    Examples
    --------
    >>> users = Users(acceptance_rate=[0.8, 0.6], drafting_speed=50.0, channel_gain=1e-10, transmit_power=0.02)
    >>> users.num_users, users.batch_shape
    (2, ())
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power")
    """Names of the numeric fields."""

    acceptance_rate: FloatArray
    drafting_speed: FloatArray
    channel_gain: FloatArray
    transmit_power: FloatArray
    present: BoolArray | None = None
    survival: FloatArray | None = None

    def __init__(
        self,
        acceptance_rate: ArrayLike,
        drafting_speed: ArrayLike,
        channel_gain: ArrayLike,
        transmit_power: ArrayLike,
        present: ArrayLike | None = None,
        survival: ArrayLike | None = None,
    ) -> None:
        fields: dict[str, NDArray[Any]] = {
            "acceptance_rate": check_array("acceptance_rate", acceptance_rate, low=0.0, high=1.0),
            "drafting_speed": check_array("drafting_speed", drafting_speed, low=0.0, low_open=True),
            "channel_gain": check_array("channel_gain", channel_gain, low=0.0, low_open=True),
            "transmit_power": check_array("transmit_power", transmit_power, low=0.0, low_open=True),
        }
        # A field that is not there is None by the class, so that what copies the fields copies those there are.
        if present is not None:
            fields["present"] = check_mask("present", present)
        if survival is not None:
            fields["survival"] = _check_survival(survival)
        try:
            shape = np.broadcast_shapes(*(_of_users(name, array.shape) for name, array in fields.items()))
        except ValueError:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in fields.items())
            raise ValueError(f"the shapes of the users' fields do not broadcast: {shapes}") from None
        if not shape or shape[-1] == 0:
            raise ValueError(f"users need a last axis of at least one user, got fields of shape {shape}")
        for name, array in fields.items():
            own = array.shape[-1:] if name == "survival" else ()
            full = np.ascontiguousarray(np.broadcast_to(array, shape + own))
            full.flags.writeable = False
            object.__setattr__(self, name, full)

    @classmethod
    def trusted(cls, **fields: Any) -> Users:
        """Build users from arrays already known to be valid, without copies or checks.

        Parameters
        ----------
        **fields
            The numeric fields, float64, and, where somebody is absent, ``present``, bool: C-contiguous, of one common
            shape; and ``survival``, with an axis more, where there are curves. Any cached property may be given, too.

        Returns
        -------
        Users
            Users that share memory with the arrays given.
        """
        users = cls.__new__(cls)
        users.__dict__.update(fields)
        return users

    @property
    def fields(self) -> dict[str, NDArray[Any]]:
        """The numeric fields by name, of shape (..., K), and where given ``present`` and ``survival``, (..., K, S)."""
        fields: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in Users.FIELDS}
        for name, value in (("present", self.present), ("survival", self.survival)):
            if value is not None:
                fields[name] = value
        return fields

    def all_present(self) -> Users:
        """The same users without a word on who is present: everybody is.

        Returns
        -------
        Users
            Users that share memory with these.
        """
        return Users.trusted(**{name: value for name, value in vars(self).items() if name != "present"})

    def without(self, gone: BoolArray) -> Users:
        """The same users, of whom some are absent.

        Parameters
        ----------
        gone
            Who is absent, besides those who are already. Shape (..., K), which broadcasts.

        Returns
        -------
        Users
            The users. Shape (..., K).
        """
        shape, own = np.broadcast_shapes(self.acceptance_rate.shape, gone.shape), self.acceptance_rate.ndim
        fields = {
            name: np.ascontiguousarray(np.broadcast_to(array, shape + array.shape[own:]))
            for name, array in self.fields.items()
        }
        return Users.trusted(**{**fields, "present": fields.get("present", True) & ~np.broadcast_to(gone, shape)})

    def flattened(self) -> Users:
        """The same users with all batch axes made one.

        Returns
        -------
        Users
            Users that share memory with these. Shape (N, K).
        """
        axes = len(self.batch_shape)
        return Users.trusted(**{name: array.reshape(-1, *array.shape[axes:]) for name, array in self.fields.items()})

    @property
    def num_users(self) -> int:
        """Number of users K in each cell."""
        return int(self.acceptance_rate.shape[-1])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch of cells; empty for one cell."""
        return self.acceptance_rate.shape[:-1]

    @cached_property
    def drafting_time(self) -> FloatArray:
        """Seconds per drafted token, tau = 1 / v. Shape (..., K)."""
        time = 1.0 / self.drafting_speed
        time.flags.writeable = False
        return time

    @cached_property
    def token_terms(self) -> tuple[FloatArray, FloatArray]:
        """The :func:`multispin_gym.physics.acceptance.token_terms` of the acceptance rates. Shape (..., K) each."""
        terms = token_terms(self.acceptance_rate)
        for array in terms:
            array.flags.writeable = False
        return terms

    @cached_property
    def token_table(self) -> FloatArray:
        """Expected tokens of the draft lengths 0 to S of users with curves. Shape (..., K, S + 1)."""
        assert self.survival is not None
        table = token_table(self.survival)
        table.flags.writeable = False
        return table

    def tokens(self, lengths: FloatArray, uniforms: FloatArray | None = None) -> FloatArray:
        """Tokens of verified drafts, the server's own included.

        Parameters
        ----------
        lengths
            Draft lengths; whole ones, and no longer than the curves where there are curves. Shape (..., K).
        uniforms
            Uniform draws in [0, 1) that decide which drafts are accepted; by default tokens are expectations. Shape
            (..., K).

        Returns
        -------
        numpy.ndarray
            Tokens. Shape (..., K).
        """
        if self.survival is not None:
            if uniforms is None:
                return tabled_tokens(self.token_table, lengths)
            return tabled_samples(self.survival, lengths, uniforms)
        if uniforms is None:
            return mean_tokens(self.acceptance_rate, lengths, self.token_terms)
        return sampled_tokens(self.acceptance_rate, lengths, uniforms, self.token_terms)

    @property
    def received_power(self) -> FloatArray:
        """Transmit power times channel gain, W. Shape (..., K)."""
        return self.transmit_power * self.channel_gain

    def __getitem__(self, index: Any) -> Users:
        """Select cells of the batch; the user axis is kept.

        Parameters
        ----------
        index
            Any NumPy index over the batch axes.

        Returns
        -------
        Users
            The users of the selected cells.

        Raises
        ------
        IndexError
            If there is no batch axis, or the index does not fit the batch axes.
        """
        if not self.batch_shape:
            raise IndexError("these users belong to one cell: there is no batch axis to index")
        cells = np.arange(math.prod(self.batch_shape)).reshape(self.batch_shape)
        try:
            chosen = cells[index]
        except IndexError as error:
            raise IndexError(
                f"the index {shown(index)} does not fit the batch shape {self.batch_shape}: {error}"
            ) from None
        picked = {name: array[chosen] for name, array in self.flattened().fields.items()}
        for array in picked.values():
            array.flags.writeable = False
        return Users.trusted(**picked)


def _of_users(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a field over cells and users."""
    return shape[:-1] if name == "survival" else shape


def _check_survival(survival: ArrayLike) -> FloatArray:
    """Refuse what is no acceptance curve."""
    curves = check_array("survival", survival, low=0.0, high=1.0)
    if curves.ndim == 0 or curves.shape[-1] == 0:
        raise ValueError(f"survival needs a last axis of at least one draft, got shape {curves.shape}")
    rises = curves[..., 1:] > curves[..., :-1]
    if rises.any():
        index = tuple(int(i) for i in np.argwhere(rises)[0])
        later = (*index[:-1], index[-1] + 1)
        raise ValueError(
            "survival must not increase along its last axis, where the first i drafts include all before: got "
            f"{float(curves[later])!r} at index {later} after {float(curves[index])!r}"
        )
    return curves

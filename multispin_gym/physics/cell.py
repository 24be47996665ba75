"""The shared system of a cell: band, noise, payload, server and the allowed draft lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from multispin_gym._validation import FloatArray, check_choice, check_integer, check_number
from multispin_gym.physics.protocols import payload_of
from multispin_gym.physics.uplink import DensityUplink, TotalPowerUplink, Uplink
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification, TableVerification, Verification

POWERS = ("total", "density")


@dataclass(frozen=True)
class Cell:
    """What all users of a cell share.

    Parameters
    ----------
    bandwidth
        Uplink band B, Hz; positive.
    noise_psd
        Noise power spectral density N0, W/Hz; positive.
    payload
        What one drafted token costs on the uplink, bit; positive. Or, as in a scenario's file, a table of a
        ``protocol`` and its arguments, from which the bits are computed; see
        :func:`multispin_gym.physics.protocols.payload_bits`.
    verification
        The server's verification time, :class:`AffineVerification` or :class:`TableVerification`.
    power
        ``"total"``: each device puts its whole power into its share, ``R = b log2(1 + P g / (N0 b))``;
        ``"density"``: power per Hz is ``transmit_power / bandwidth``, ``R = b log2(1 + P g / (N0 B))``.
    min_draft_length, max_draft_length
        Allowed draft lengths, token; ``0 <= min <= max``, ``max >= 1``. A minimum of 0 lets users opt out.

    Raises
    ------
    ValueError
        If a value is out of range.
    TypeError
        If a value is of the wrong type.
    """

    bandwidth: float
    noise_psd: float
    payload: float
    verification: Verification
    power: Literal["total", "density"] = "total"
    min_draft_length: int = 1
    max_draft_length: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "payload", payload_of(self.payload))
        for name in ("bandwidth", "noise_psd", "payload"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), low=0.0, low_open=True))
        if not isinstance(self.verification, (AffineVerification, TableVerification)):
            raise TypeError(
                f"verification must be an AffineVerification or a TableVerification, got {self.verification!r}"
            )
        check_choice("power", self.power, POWERS)
        longest = check_integer("max_draft_length", self.max_draft_length, low=1)
        shortest = check_integer("min_draft_length", self.min_draft_length, low=0, high=longest)
        object.__setattr__(self, "max_draft_length", longest)
        object.__setattr__(self, "min_draft_length", shortest)

    @cached_property
    def uplink(self) -> Uplink:
        """The uplink model that ``power`` names."""
        return TotalPowerUplink() if self.power == "total" else DensityUplink(self.bandwidth)

    @property
    def num_draft_lengths(self) -> int:
        """Number of allowed draft lengths."""
        return self.max_draft_length - self.min_draft_length + 1

    def signal(self, users: Users) -> FloatArray:
        """Signal strength ``P g / N0`` of each user.

        Parameters
        ----------
        users
            The users.

        Returns
        -------
        numpy.ndarray
            Signal in Hz: the bandwidth over which the SNR is one. Shape (..., K).
        """
        return users.received_power / self.noise_psd

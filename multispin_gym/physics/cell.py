"""The shared system of a cell: band, noise, payload, server and the allowed draft lengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from multispin_gym import _toml
from multispin_gym._validation import (
    LARGEST,
    LONGEST_DRAFT,
    FloatArray,
    check_choice,
    check_integer,
    check_number,
    check_quantity,
    shown,
)
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
        Uplink band B, Hz; in [1e-50, 1e50].
    noise_psd
        Noise power spectral density N0, W/Hz; in [1e-50, 1e50]. Either this or ``noise_power``.
    payload
        What one drafted token costs on the uplink, bit; in [1e-50, 1e50]. Or, as in a scenario's file, a table of a
        ``protocol`` and its arguments, from which the bits are computed; see
        :func:`multispin_gym.physics.protocols.payload_bits`.
    verification
        The server's verification time, :class:`AffineVerification` or :class:`TableVerification`.
    power
        ``"total"``: each device puts its whole power into its share, ``R = b log2(1 + P g / (N0 b))``;
        ``"density"``: power per Hz is ``transmit_power / bandwidth``, ``R = b log2(1 + P g / (N0 B))``.
    min_draft_length, max_draft_length
        Allowed draft lengths, token; ``0 <= min <= max``, ``1 <= max <= 10000``. A minimum of 0 lets users opt out.
    noise_power
        Noise power over the band, W, whatever the band; in [1e-50, 1e50]. The spectral efficiency is then
        ``log2(1 + P g / noise_power)`` and does not depend on the bandwidth. Only with ``power="density"``.
    round_trip
        Seconds that pass between device and server beside the upload itself, there and back, in a round in which the
        user drafts; in [0, 1e50]. Counted once, as a delay of the draft.
    downlink
        Rate at which a user receives what comes back after verification, bit/s; in [1e-50, 1e50]. None where that takes
        no time.
    downlink_payload
        What comes back to each user, bit: how many drafts were accepted, and the server's token; in [1e-50, 1e50].

    Raises
    ------
    ValueError
        If a value is out of range or missing, both or neither of the two forms of noise are given, or a noise power is
        given without a power density.
    TypeError
        If a value is of the wrong type.
    """

    bandwidth: float
    noise_psd: float | None = None
    noise_power: float | None = field(default=None, kw_only=True)
    # Neither has a default; a field behind one that has must have one.
    payload: float = None  # type: ignore[assignment]
    verification: Verification = None  # type: ignore[assignment]
    power: Literal["total", "density"] = "total"
    min_draft_length: int = 1
    max_draft_length: int = 12
    # A file says nothing of them where they are as if they were not there.
    round_trip: float = field(default=0.0, kw_only=True, metadata=_toml.UNLESS_DEFAULT)
    downlink: float | None = field(default=None, kw_only=True)
    downlink_payload: float = field(default=32.0, kw_only=True, metadata=_toml.UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        for name in ("payload", "verification"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing")
        object.__setattr__(self, "payload", payload_of(self.payload))
        if self.noise_psd is None and self.noise_power is None:
            raise ValueError("noise_psd is missing: it, W/Hz, or noise_power, W, must be given")
        if self.noise_psd is not None and self.noise_power is not None:
            raise ValueError(
                f"noise_psd and noise_power must not both be given, got {shown(self.noise_psd)} W/Hz and "
                f"{shown(self.noise_power)} W"
            )
        noise = "noise_psd" if self.noise_power is None else "noise_power"
        for name in ("bandwidth", noise, "payload"):
            object.__setattr__(self, name, check_quantity(name, getattr(self, name)))
        if not isinstance(self.verification, (AffineVerification, TableVerification)):
            raise TypeError(
                f"verification must be an AffineVerification or a TableVerification, got {shown(self.verification)}"
            )
        check_choice("power", self.power, POWERS)
        if self.noise_power is not None and self.power != "density":
            raise ValueError(f"noise_power needs power 'density', got power {shown(self.power)}")
        longest = check_integer("max_draft_length", self.max_draft_length, low=1, high=LONGEST_DRAFT)
        shortest = check_integer("min_draft_length", self.min_draft_length, low=0, high=longest)
        object.__setattr__(self, "max_draft_length", longest)
        object.__setattr__(self, "min_draft_length", shortest)
        round_trip = check_number("round_trip", self.round_trip, low=0.0, high=LARGEST)
        object.__setattr__(self, "round_trip", round_trip)
        for name in ("downlink_payload",) if self.downlink is None else ("downlink", "downlink_payload"):
            object.__setattr__(self, name, check_quantity(name, getattr(self, name)))

    @cached_property
    def uplink(self) -> Uplink:
        """The uplink model that ``power`` names."""
        return TotalPowerUplink() if self.power == "total" else DensityUplink(self.bandwidth)

    @cached_property
    def noise_density(self) -> float:
        """Noise power per Hz of the band: ``noise_psd``, or ``noise_power / bandwidth``, W/Hz."""
        if self.noise_power is not None:
            return self.noise_power / self.bandwidth
        assert self.noise_psd is not None
        return self.noise_psd

    @cached_property
    def downlink_time(self) -> float:
        """Seconds from the end of verification until every verified user has what comes back; 0 without a downlink."""
        return 0.0 if self.downlink is None else self.downlink_payload / self.downlink

    @cached_property
    def ends_with_verification(self) -> bool:
        """Whether drafting, upload and verification are all that takes time."""
        return self.round_trip == 0.0 and self.downlink is None

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
        return users.received_power / self.noise_density

"""What the networks see: physically scaled features of each user, computed from the observation and the cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from multispin_gym.physics.cell import Cell

USER_FEATURES = 7
_ALPHA_EDGE = 1e-4


@dataclass(frozen=True)
class RoundTerms:
    """The terms of a round that the networks and the share references work with.

    Parameters
    ----------
    acceptance_rate
        Acceptance rates. Shape (N, K).
    drafting_time
        Seconds per drafted token. Shape (N, K).
    signal
        ``P g / N0``, Hz. Shape (N, K).
    limit_time
        Least upload time of a token, s: over unlimited bandwidth (``power="total"``) or over the whole band
        (``power="density"``). Shape (N, K).
    equal_time
        Upload time of a token on an equal share of the band, s. Shape (N, K).
    unit
        The time unit of the features, s: verifying a batch of two tokens for each user.
    slope
        Verification time that one more drafted token for every user costs, in ``unit``.
    """

    acceptance_rate: torch.Tensor
    drafting_time: torch.Tensor
    signal: torch.Tensor
    limit_time: torch.Tensor
    equal_time: torch.Tensor
    unit: float
    slope: float

    def user_features(self) -> torch.Tensor:
        """Features of each user: its acceptance and its times in the server's time unit, on a logarithmic scale.

        No running statistics enter, so an agent is its weights and the cell, nothing else.

        Returns
        -------
        torch.Tensor
            Features of order one. Shape (N, K, USER_FEATURES).
        """
        alpha = self.acceptance_rate.clamp(_ALPHA_EDGE, 1.0 - _ALPHA_EDGE)
        times = torch.stack(
            (self.drafting_time, self.equal_time, self.limit_time, self.drafting_time + self.equal_time), dim=-1
        )
        logs = (torch.log(times / self.unit).clamp(-12.0, 8.0) + 2.0) / 1.5
        columns = (2.0 * alpha - 1.0, torch.log(-torch.log(alpha)), torch.full_like(alpha, self.slope))
        return torch.cat((torch.stack(columns, dim=-1), logs), dim=-1)

    def draft_features(self, lengths: torch.Tensor) -> torch.Tensor:
        """Features of each user once the draft lengths are chosen.

        Parameters
        ----------
        lengths
            Draft lengths. Shape (N, K).

        Returns
        -------
        torch.Tensor
            Length, drafting time and upload time at an equal share. Shape (N, K, 3).
        """
        drafting = torch.log1p(lengths * self.drafting_time / self.unit)
        upload = torch.log1p(lengths * self.equal_time / self.unit)
        return torch.stack((0.25 * lengths, drafting, upload), dim=-1)


class CellTerms:
    """Turns observations into :class:`RoundTerms` for one cell.

    Parameters
    ----------
    cell
        The shared system.
    reference_power
        Transmit power to which the observed gains are referred, W.
    """

    def __init__(self, cell: Cell, reference_power: float) -> None:
        self.cell = cell
        self.reference_power = reference_power
        self._scales: dict[int, tuple[float, float]] = {}

    def _scale(self, num_users: int) -> tuple[float, float]:
        if num_users not in self._scales:
            low, high = self.cell.min_draft_length, self.cell.max_draft_length
            lengths = np.array([[1.0], [float(low)], [float(high)]]).repeat(num_users, axis=-1)
            unit, first, last = self.cell.verification.round_time(lengths).tolist()
            self._scales[num_users] = unit, (last - first) / max(high - low, 1) / unit
        return self._scales[num_users]

    def __call__(self, observation: Mapping[str, torch.Tensor]) -> RoundTerms:
        """Compute the terms of a batch of rounds.

        Parameters
        ----------
        observation
            The three arrays of the environments' observation, unscaled. Shape (N, K) each.

        Returns
        -------
        RoundTerms
            Their terms.
        """
        cell = self.cell
        num_users = observation["acceptance_rate"].shape[-1]
        scale = self.reference_power / cell.noise_psd
        signal = scale * torch.exp(observation["channel_gain_db"] * (math.log(10.0) / 10.0))
        if cell.power == "total":
            limit_time = cell.payload * math.log(2.0) / signal
            share = cell.bandwidth / num_users
            equal_time = cell.payload * math.log(2.0) / (share * torch.log1p(signal / share))
        else:
            limit_time = cell.payload * math.log(2.0) / (cell.bandwidth * torch.log1p(signal / cell.bandwidth))
            equal_time = num_users * limit_time
        unit, slope = self._scale(num_users)
        return RoundTerms(
            acceptance_rate=observation["acceptance_rate"],
            drafting_time=1.0 / observation["drafting_speed"],
            signal=signal,
            limit_time=limit_time,
            equal_time=equal_time,
            unit=unit,
            slope=slope,
        )

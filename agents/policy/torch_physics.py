"""The physics of a round restated in torch: what the networks must see of it, in float32 and for a batch of rounds.

Users' times on both uplinks, the shares with which all finish together, and the server's time with a gradient. Tests
hold all of it to :mod:`multispin_gym.physics` and to the solver's split of the band.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from multispin_gym.baselines.solver.server import Server, server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.uplink import LN2

_DEADLINE_STEPS = 6
# A cell's quantities and the signals over the whole band, so that products and quotients of them are float32 numbers.
_RANGE, _STRONGEST = 1e15, 1e20
# A time, s, beyond which its square is none.
_LONGEST, _LARGEST = 1e15, 1e30


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
        Time of the server, s: verifying a batch of two tokens for each user.
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


class CellTerms:
    """Turns observations into :class:`RoundTerms` for one cell.

    Observed gains are relative to ``reference_power``, W.
    """

    def __init__(self, cell: Cell, reference_power: float) -> None:
        noise = "noise_psd" if cell.noise_power is None else "noise_power * cell.bandwidth"
        for name, value, most in (
            ("cell.bandwidth", cell.bandwidth, _RANGE),
            ("cell.payload", cell.payload, _RANGE),
            ("cell.payload / cell.bandwidth", cell.payload / cell.bandwidth, _RANGE),
            (f"reference_power / cell.{noise}", reference_power / cell.noise_density, _LARGEST),
            ("cell.verification of one token", float(cell.verification.time(1.0, 1)), _RANGE),
        ):
            if not 1.0 / most <= value <= most:
                allowed = f"[{1.0 / most:g}, {most:g}]"
                raise ValueError(f"{name} must lie in {allowed} for an agent, which computes in float32, got {value:g}")
        self.cell = cell
        self.reference_power = reference_power
        self._scales: dict[int, tuple[float, float]] = {}

    def _scale(self, num_users: int) -> tuple[float, float]:
        if num_users not in self._scales:
            low, high = self.cell.min_draft_length, self.cell.max_draft_length
            lengths = np.array([[1.0], [float(low)], [float(high)]]).repeat(num_users, axis=-1)
            unit, first, last = server_of(self.cell, num_users).round_time(lengths).tolist()
            self._scales[num_users] = unit, (last - first) / max(high - low, 1) / unit
        return self._scales[num_users]

    def __call__(self, observation: Mapping[str, torch.Tensor]) -> RoundTerms:
        """Compute the terms of a batch of rounds from the environments' three arrays, unscaled, of shape (N, K)."""
        acceptance_rate = observation["acceptance_rate"]
        scale = self.reference_power / self.cell.noise_density
        signal = scale * torch.exp(observation["channel_gain_db"] * (math.log(10.0) / 10.0))
        signal = signal.clamp(self.cell.bandwidth / _STRONGEST, self.cell.bandwidth * _STRONGEST)
        limit_time, equal_time = upload_times(signal, self.cell)
        unit, slope = self._scale(acceptance_rate.shape[-1])
        return RoundTerms(
            acceptance_rate=acceptance_rate,
            drafting_time=1.0 / observation["drafting_speed"],
            signal=signal,
            limit_time=limit_time,
            equal_time=equal_time,
            unit=unit,
            slope=slope,
        )


def upload_times(signal: torch.Tensor, cell: Cell) -> tuple[torch.Tensor, torch.Tensor]:
    """Least upload time of a token, and that on an equal share of the band, s, of signals ``P g / N0`` in Hz (N, K)."""
    num_users = signal.shape[-1]
    if cell.power == "total":
        share = cell.bandwidth / num_users
        limit_time = (cell.payload * LN2 / signal).clamp_max(_LARGEST)
        return limit_time, (cell.payload * LN2 / (share * torch.log1p(signal / share))).clamp_max(_LARGEST)
    limit_time = cell.payload * LN2 / (cell.bandwidth * torch.log1p(signal / cell.bandwidth))
    limit_time = limit_time.clamp_max(_LARGEST / num_users)
    return limit_time, num_users * limit_time


def finish_together(terms: RoundTerms, cell: Cell, lengths: torch.Tensor, steps: int = _DEADLINE_STEPS) -> torch.Tensor:
    """Log-shares (N, K) with which all users who upload finish together, hence the earliest (model, section 4).

    Newton's method on the deadline, from the least deadline that each user alone could meet: six steps are enough for
    float32 with the presets' users, not with a density uplink where users differ by many orders of magnitude. Users
    whose draft length is 0 get 0.
    """
    with torch.no_grad():
        uploads = lengths > 0.0
        bits = lengths * (cell.payload * LN2 / cell.bandwidth)
        alone = (bits / torch.log1p(terms.signal / cell.bandwidth)).clamp(1.0 / _LONGEST, _LONGEST)
        drafting = (lengths * terms.drafting_time).clamp_max(_LONGEST)
        deadline = least = (drafting + alone).amax(dim=-1, keepdim=True)
        log_snr: torch.Tensor | None = None
        for step in range(steps):
            # In float32 an upload may vanish beside a drafting time; no upload is faster than on the whole band.
            left = torch.where(uploads, torch.maximum(deadline - drafting, alone), 1.0)
            if cell.power == "density":
                share, fall = alone / left, alone / left.square()
            else:
                log_snr, grad = _log_snr(left / (lengths * terms.limit_time).clamp_min(1e-30), log_snr)
                share = terms.signal / cell.bandwidth / torch.expm1(log_snr)
                fall = share / (-torch.expm1(-log_snr) * left * grad)
            if step + 1 < steps:
                total = torch.where(uploads, share, 0.0).sum(dim=-1, keepdim=True)
                slope = torch.where(uploads, fall, 0.0).sum(dim=-1, keepdim=True)
                # Newton on 1 / total, which is almost a straight line in the deadline.
                deadline = torch.maximum(deadline + (total - 1.0) * total / slope.clamp_min(1e-30), least)
        return torch.where(uploads, torch.log(share.clamp_min(1e-30)), 0.0)


def _log_snr(ratio: torch.Tensor, start: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve ``expm1(w) / w = ratio``; one step is enough from the last solution. Also the slope of its log."""
    target = torch.log(ratio).clamp(1e-6, 60.0)
    w = target + torch.log1p(target) if start is None else start
    for _ in range(2 if start is None else 1):
        value, grad = _log_ratio(w)
        w = (w - (value - target) / grad).clamp_min(1e-6)
    return w, grad


def _log_ratio(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ln(expm1(w) / w) and its derivative; a series where float32 would cancel."""
    square = w * w
    decay = -torch.expm1(-w)
    small = w < 0.5
    value = torch.where(small, w / 2 + square / 24 - square**2 / 2880, w + torch.log(decay / w))
    grad = torch.where(small, 0.5 + w / 12 - w * square / 720, 1.0 / decay - 1.0 / w)
    return value, grad


class ServerTimes:
    """The server's time for a batch of K users, differentiable, in units of 1 / K of the time for two tokens of each.

    ``max_draft_length`` is the longest draft that will be asked for.
    """

    def __init__(self, server: Server, num_users: int, max_draft_length: int) -> None:
        self.padded = server.batching == "padded"
        self.num_users = num_users
        times = server.time(np.arange(num_users * (max_draft_length + 1) + 2.0), num_users)
        self._times = torch.as_tensor(num_users * times / times[2 * num_users], dtype=torch.float32)

    def __call__(self, others: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Times (..., L) of the batches in which one user has each of L lengths, linear between whole tokens.

        ``others`` (...) is the sum of the other users' lengths, or the longest of them where the server pads.
        """
        others = others.unsqueeze(-1)
        drafted = self.num_users * torch.maximum(others, lengths) if self.padded else others + lengths
        tokens = drafted + self.num_users
        times = self._times.to(tokens.device)
        low = tokens.detach().floor().clamp(0.0, len(times) - 2.0)
        before, after = times[low.long()], times[low.long() + 1]
        return before + (tokens - low) * (after - before)

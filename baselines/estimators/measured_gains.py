"""Channel gains that the uploads of a round told: the time of each gives its rate, and the rate the gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.estimators.beliefs import Seen
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.uplink import LN2
from multispin_gym.scenarios.scenario import Scenario

NOTHING, KNOWN, UNKNOWN_BEYOND = np.int8(0), np.int8(1), np.int8(2)
"""No upload; a gain; a gain that would have sufficed, and was not there."""


def gain_needed(cell: Cell, power: float, rate: FloatArray, bandwidth: FloatArray) -> FloatArray:
    """Channel gain at which a bandwidth carries a rate.

    Parameters
    ----------
    cell
        The shared system.
    power
        Transmit power, W.
    rate
        Rates, bit/s; infinite where no gain suffices.
    bandwidth
        Bandwidths, Hz. The two broadcast.

    Returns
    -------
    numpy.ndarray
        Linear gains; 0 for no rate, infinite where none suffices.
    """
    band = cell.bandwidth if cell.power == "density" else bandwidth
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        signal = band * np.expm1(LN2 * rate / bandwidth)
    return np.asarray(np.where(rate > 0.0, signal, 0.0) * (cell.noise_density / power))


def measured_gains(scenario: Scenario, info: Seen) -> tuple[FloatArray, NDArray[np.int8]]:
    """Return what the uploads of a round told of the channels at its start.

    Parameters
    ----------
    scenario
        The scenario.
    info
        What is known of the round. Entries of shape (N, K).

    Returns
    -------
    gain_db : numpy.ndarray
        Gains, dB. Shape (N, K).
    kind : numpy.ndarray
        :data:`KNOWN`, :data:`UNKNOWN_BEYOND`, or :data:`NOTHING`. Shape (N, K).
    """
    lengths = np.asarray(info["draft_lengths"], dtype=np.float64)
    seconds = np.asarray(info["upload_time"], dtype=np.float64)
    band = np.asarray(info["bandwidth_shares"]) * scenario.cell.bandwidth
    told = (lengths > 0.0) & (seconds > 0.0) & (band > 0.0)
    rate = np.where(told, lengths * scenario.cell.payload / np.where(told, seconds, 1.0), 0.0)
    gain = gain_needed(scenario.cell, scenario.reference_power, rate, np.where(told, band, 1.0))
    told &= (gain > 0.0) & np.isfinite(gain)
    gain_db = 10.0 * np.log10(np.where(told, gain, 1.0))
    kind = np.where(told, np.where(np.asarray(info["verified"]), KNOWN, UNKNOWN_BEYOND), NOTHING)
    return gain_db, kind.astype(np.int8)

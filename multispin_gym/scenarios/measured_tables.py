"""Verification times measured elsewhere, shipped with the package as tables."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

from multispin_gym._reading import read_text
from multispin_gym._toml import LONGEST_TEXT, prefixed
from multispin_gym._validation import check_choice, check_quantity, shown, shown_path
from multispin_gym.physics.verification import Batching, TableVerification

PRESETS = files("multispin_gym.scenarios.presets")
# Table name -> column of the file; the names say machine and model.
_A100 = "a100_verification_latency_ms.csv"
_COLUMNS = {
    "a100_llama2_7b": "llama2_7b",
    "a100_internlm_20b": "internlm_20b",
    "a100_codellama_34b": "codellama_34b",
}


class Measurement(NamedTuple):
    """A measured verification table.

    Parameters
    ----------
    num_tokens
        Tokens in the batch.
    seconds
        Measured times, s.
    source
        Where the figures come from.
    """

    num_tokens: tuple[float, ...]
    seconds: tuple[float, ...]
    source: str


def list_measurements() -> list[str]:
    """Names of the shipped verification tables.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> list_measurements()
    ['a100_codellama_34b', 'a100_internlm_20b', 'a100_llama2_7b']
    """
    return sorted(_COLUMNS)


def load_measurement(name: str) -> Measurement:
    """Read a shipped verification table (model, section 8).

    Parameters
    ----------
    name
        One of :func:`list_measurements`.

    Returns
    -------
    Measurement
        The table, in tokens and seconds.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> load_measurement("a100_llama2_7b").seconds[0]
    0.009347
    """
    return _read(check_choice("verification.table", name, list_measurements()))


@cache
def _read(name: str) -> Measurement:
    with as_file(PRESETS.joinpath(_A100)) as path:
        return read_measurements(path)[name]


def read_measurements(path: Path) -> dict[str, Measurement]:
    """Read a file of measurements: a comment with their source, a header, and a line for each size of a batch, in ms.

    A file that is too large, lacks a column or has anything but positive numbers in it gives a ``ValueError`` that
    names the line and the column.
    """
    with prefixed(f"{shown_path(path)}: "):
        header, *lines = read_text(path, LONGEST_TEXT).splitlines() or [""]
        if len(lines) < 2:
            raise ValueError("it needs a line of a source, one of names and at least one of numbers")
        try:
            rows = list(csv.DictReader(lines, strict=True))
        except csv.Error as error:
            raise ValueError(f"it is not a table of comma-separated values: {error}") from None
        columns = {
            column: [_number(row.get(column), column, line) for line, row in enumerate(rows, start=3)]
            for column in ("num_tokens", *_COLUMNS.values())
        }
        sizes = tuple(columns["num_tokens"])
        source = header.removeprefix("#").strip()
        # Divided, not multiplied by 1e-3: 9.347 ms then reads as the float nearest to 0.009347 s.
        found = {
            name: Measurement(sizes, tuple(time / 1000.0 for time in columns[column]), source)
            for name, column in _COLUMNS.items()
        }
        for measurement in found.values():
            TableVerification(measurement.num_tokens, measurement.seconds)
        return found


def _number(text: Any, column: str, line: int) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise ValueError(f"line {line}: {column} must be a number, got {shown(text)}") from None
    return check_quantity(f"line {line}: {column}", value)


def measured_verification(name: str, *, batching: Batching = "padded", scale: float = 1.0) -> TableVerification:
    """Verification by a shipped table.

    Parameters
    ----------
    name
        One of :func:`list_measurements`.
    batching
        ``"padded"`` or ``"ragged"``.
    scale
        Factor on every time, in [1e-50, 1e50]: how many times slower the assumed server is than the measured kernels.

    Returns
    -------
    TableVerification
        The table; beyond its last point it goes on with the slope of its least-squares line.

    Raises
    ------
    ValueError
        If the name is unknown, the batching is unknown or the scale is not positive.
    TypeError
        If the scale is not a number.
    """
    measurement = load_measurement(name)
    factor = check_quantity("verification.scale", scale)
    seconds = tuple(factor * time for time in measurement.seconds)
    return TableVerification(measurement.num_tokens, seconds, batching)

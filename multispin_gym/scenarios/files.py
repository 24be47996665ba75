"""The tables of a scenario file: verification in its three forms, the clock, and the plain rest."""

from __future__ import annotations

from typing import Any

from multispin_gym import _toml
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.path_loss import PathLoss
from multispin_gym.physics.verification import AffineVerification, TableVerification, Verification
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.measured_tables import measured_verification
from multispin_gym.scenarios.populations import AcceptanceClass, DeviceClass
from multispin_gym.scenarios.requests import Requests
from multispin_gym.scenarios.sources import Source

_AFFINE = ("fixed", "per_draft", "per_token", "batching")
_TABLE = ("num_tokens", "seconds", "batching", "tail_per_token")
_NAMED = ("table", "batching", "scale")


def parse_verification(value: Any, path: str) -> Verification:
    """Read a verification time: an affine one, a table in the file, or the name of a shipped table."""
    table = _toml.check_table(value, path)
    # The classes call their fields "verification.*" already.
    parent = path.removesuffix("verification")
    if "table" in table:
        _toml.check_keys(table, _NAMED, path)
        arguments = dict(table)
        with _toml.prefixed(parent):
            return measured_verification(arguments.pop("table"), **arguments)
    if "num_tokens" in table or "seconds" in table:
        return _toml.build(TableVerification, table, path, prefix=parent)
    if "fixed" in table:
        return _toml.build(AffineVerification, table, path, prefix=parent)
    _toml.check_keys(table, dict.fromkeys((*_AFFINE, *_TABLE, *_NAMED)), path)
    raise ValueError(f"{path} needs fixed, per_draft and per_token, or num_tokens and seconds, or table")


def parse_cell(value: Any, path: str) -> Cell:
    """Read a cell."""
    return _toml.build(Cell, value, path, {"verification": parse_verification})


def parse_clock(value: Any, path: str) -> Clock:
    """Read what a scenario says about time and requests."""
    parsers: dict[str, _toml.Parser] = {"requests": lambda table, where: _toml.build(Requests, table, where)}
    return _toml.build(Clock, value, path, parsers)


PARSERS: dict[str, _toml.Parser] = {
    "cell": parse_cell,
    "clock": parse_clock,
    "path_loss": lambda value, path: _toml.build(PathLoss, value, path),
    # The class calls its fields "fading.*" already.
    "fading": lambda value, path: _toml.build(Fading, value, path, prefix=""),
    "acceptance": lambda value, path: _toml.build_list(AcceptanceClass, value, path),
    "devices": lambda value, path: _toml.build_list(DeviceClass, value, path),
    "sources": lambda value, path: _toml.build_list(Source, value, path),
}

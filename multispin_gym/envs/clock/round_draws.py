"""What is drawn for every slot in every round: acceptance and the noise of reports, a block of rounds at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray, IntArray

_BLOCK = 32
_FILLERS: dict[str, Callable[[np.random.Generator, FloatArray], Any]] = {
    "uniform": lambda generator, block: generator.random(out=block),
    "normal": lambda generator, block: generator.standard_normal(out=block),
}


class RoundDraws:
    """One number for every slot and round, from each row's own generator.

    Parameters
    ----------
    name
        What the state calls them.
    law
        ``"uniform"`` on [0, 1) or standard ``"normal"``.
    num_rows, num_users
        Number of cells N and of slots K in each.
    """

    def __init__(self, name: str, law: str, num_rows: int, num_users: int) -> None:
        self._name, self._law = name, law
        self._rows = np.arange(num_rows)
        self._blocks: FloatArray = np.zeros((num_rows, _BLOCK, num_users))

    def begin(self, rows: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Draw the first block of an episode in some rows."""
        for row, generator in zip(rows.tolist(), generators, strict=True):
            _FILLERS[self._law](generator, self._blocks[row])

    def reach(
        self, rows: IntArray, rounds: IntArray, generators: Sequence[Sequence[np.random.Generator]], stream: int
    ) -> None:
        """Draw on in those of some rows that have come to the end of a block. Shapes (M,), ``rounds`` of episodes."""
        for row in rows[rounds % _BLOCK == 0].tolist():
            _FILLERS[self._law](generators[row][stream], self._blocks[row])

    def at(self, rounds: IntArray) -> FloatArray:
        """The numbers of a round of each row. Shapes: ``rounds`` (N,), result (N, K)."""
        return np.asarray(self._blocks[self._rows, rounds % _BLOCK])

    def state(self) -> dict[str, Any]:
        """Return the blocks."""
        return {self._name: self._blocks.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        self._blocks[...] = state[self._name]

"""Arrays that belong together, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np


class Rows:
    """A dataclass of arrays whose first axis runs over the same rows in each."""

    @classmethod
    def _of(cls, arrays: dict[str, Any]) -> Self:
        rows = cls.__new__(cls)
        rows.__dict__.update(arrays)
        return rows

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Put the rows of several one below the other."""
        every = [part.__dict__ for part in parts]
        return cls._of({name: np.concatenate([arrays[name] for arrays in every]) for name in every[0]})

    def __getitem__(self, rows: np.ndarray) -> Self:
        """Select rows, or repeat them."""
        return self._of({name: array[rows] for name, array in self.__dict__.items()})

    def copy(self) -> Self:
        """The same rows in arrays of their own."""
        return self._of({name: array.copy() for name, array in self.__dict__.items()})

    def put(self, rows: np.ndarray, other: Self) -> None:
        """Overwrite some rows in place, each with one row of the other."""
        for name, array in other.__dict__.items():
            self.__dict__[name][rows] = array

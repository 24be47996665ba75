"""Random generators as plain numbers, for states that are saved without pickling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = 6
_WORD = 2**64


def words_of(generator: np.random.Generator) -> list[int]:
    """Return the state of a PCG64 generator as six whole numbers below 2**64."""
    state: Any = generator.bit_generator.state
    numbers = state["state"]["state"], state["state"]["inc"]
    halves = [half for number in numbers for half in divmod(number, _WORD)]
    return [*halves, state["has_uint32"], state["uinteger"]]


def generator_of(words: NDArray[np.uint64]) -> np.random.Generator:
    """Rebuild a generator from its six words."""
    high, low, increment_high, increment_low, has_uint32, uinteger = words.tolist()
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high * _WORD + low, "inc": increment_high * _WORD + increment_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(bits)

"""Random numbers as functions of a key and a count: many streams at once, in any order, and nothing to be kept.

The words are those of SplitMix64 (G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number generators,
OOPSLA 2014): the word of a count is that which the generator started at the key gives after as many others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import FloatArray

Words = NDArray[np.uint64]

_GAMMA = np.array(0x9E3779B97F4A7C15, np.uint64)
_ONE = np.array(1, np.uint64)
_STAGES = (
    (np.array(30, np.uint64), np.array(0xBF58476D1CE4E5B9, np.uint64)),
    (np.array(27, np.uint64), np.array(0x94D049BB133111EB, np.uint64)),
)
_LAST = np.array(31, np.uint64)
_BITS_OF_UNIFORM, _BITS_OF_EXPONENTIAL = np.array(11, np.uint64), np.array(12, np.uint64)
_UNIFORM, _EXPONENTIAL = 2.0**-53, 2.0**-52
_HALF_WORD = np.float32(2.0**-32)
_TURN = np.float32(2.0 * math.pi * 2.0**-32)


def keys_of(seed: int, count: int) -> Words:
    """Turn a seed into keys of streams that do not depend on each other. Shape (count,)."""
    return np.asarray(np.random.SeedSequence(seed).generate_state(count, np.uint64), dtype=np.uint64)


def words(keys: NDArray[np.integer], counts: NDArray[np.integer], more: NDArray[np.integer] | None = None) -> Words:
    """Random words of 64 bits, of whole numbers of 64 bits with a sign or without.

    ``more`` is added to the counts; large results are had fastest where it alone has the large shape. Shapes broadcast.
    """
    word = np.asarray(counts).astype(np.uint64)
    word += _ONE
    word = np.asarray(word * _GAMMA + np.asarray(keys).astype(np.uint64, copy=False))
    if more is not None:
        word = np.asarray(word + np.asarray(more).astype(np.uint64) * _GAMMA)
    rest = np.empty_like(word)
    for shift, factor in _STAGES:
        word ^= np.right_shift(word, shift, out=rest)
        word *= factor
    word ^= np.right_shift(word, _LAST, out=rest)
    return word


def uniforms(word: Words) -> FloatArray:
    """Turn words into numbers uniform on [0, 1). Any shape."""
    return np.asarray((word >> _BITS_OF_UNIFORM) * _UNIFORM)


def exponentials(word: Words) -> FloatArray:
    """Turn words into positive numbers of the exponential law of mean 1. Any shape."""
    level = (word >> _BITS_OF_EXPONENTIAL).astype(np.float64)
    level += 0.5
    level *= _EXPONENTIAL
    return np.asarray(np.negative(np.log(level, out=level), out=level))


def normal_pairs(word: Words, deviation: float = 1.0) -> tuple[Float32Array, Float32Array]:
    """Turn each word into two independent normal numbers of mean 0. Any shape, contiguous.

    By the method of G. Box and M. Muller, A note on the generation of random normal deviates, Annals of Mathematical
    Statistics 29 (1958), in single precision.
    """
    halves = word.view(np.uint32).reshape(*word.shape, 2)
    radius, angle = halves[..., 0].astype(np.float32), halves[..., 1].astype(np.float32)
    radius += np.float32(0.5)
    radius *= _HALF_WORD
    np.log(radius, out=radius)
    radius *= np.float32(-2.0 * deviation**2)
    np.sqrt(radius, out=radius)
    angle *= _TURN
    first = np.cos(angle)
    first *= radius
    radius *= np.sin(angle, out=angle)
    return first, radius

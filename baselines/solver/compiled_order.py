"""An order of many values that are in order in parts, compiled by numba.

This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiling import compiled


@compiled
def order_of_runs(values: FloatArray, span: int) -> np.ndarray:
    """Stable order of values that are runs of some length, each of which is in order."""
    count, width = len(values), span
    order, merged = np.arange(count), np.empty(count, dtype=np.int64)
    while width < count:
        for start in range(0, count, 2 * width):
            left, middle, end = start, min(start + width, count), min(start + 2 * width, count)
            right = middle
            for place in range(start, end):
                if left < middle and (right == end or values[order[left]] <= values[order[right]]):
                    merged[place] = order[left]
                    left += 1
                else:
                    merged[place] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    return order

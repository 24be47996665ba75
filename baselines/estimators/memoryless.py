"""What controllers have in common that remember nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym.baselines.estimators.beliefs import Seen


class Memoryless:
    """A controller that decides by what it sees now."""

    def reset(self, observation: Seen, info: Seen, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes; nothing is remembered.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """

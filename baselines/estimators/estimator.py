"""What controllers have in common that decide by what is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod

from multispin_gym._validation import BoolArray
from multispin_gym.baselines.estimators.beliefs import Seen
from multispin_gym.physics.decisions import Decision


class Estimator(ABC):
    """A controller that decides by what it sees and remembers; this one remembers nothing."""

    def reset(self, observation: Seen, info: Seen, rows: BoolArray | None = None) -> None:
        """Begin new episodes.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """
        self._reset(observation, info, rows)

    def decide(self, observation: Seen, info: Seen) -> Decision:
        """Decide a round.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        info
            What is known of the round before.

        Returns
        -------
        Decision
            The decision. Shape (N, K).
        """
        return self._decide(observation, info)

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        """Do :meth:`reset`."""
        del observation, info, rows

    @abstractmethod
    def _decide(self, observation: Seen, info: Seen) -> Decision:
        """Do :meth:`decide`."""

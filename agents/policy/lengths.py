"""How draft lengths are drawn: independently of each other, or one user after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

Pick = Callable[[torch.Tensor], torch.Tensor]
"""Function from log-probabilities (..., num_lengths) to indices (...)."""


@dataclass(frozen=True)
class IndependentLengths:
    """Draft lengths that are independent of each other, given the observation.

    Parameters
    ----------
    logits
        Unnormalised log-probabilities of the lengths. Shape (N, K, num_lengths), or (N, 1, num_lengths).
    """

    logits: torch.Tensor

    @cached_property
    def _log_probs(self) -> torch.Tensor:
        return torch.log_softmax(self.logits, dim=-1)

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all lengths of each user, of the shape of ``logits``, whatever was chosen."""
        return self._log_probs

    def choose(self, pick: Pick) -> torch.Tensor:
        """Choose a length for each user: indices (N, K), or (N, 1)."""
        return pick(self._log_probs)


@dataclass(frozen=True)
class SequentialLengths:
    """Draft lengths chosen in turn: each in the light of those before it, and of those expected after it.

    Together the users can hit a number of tokens exactly, which independent choices cannot.

    Parameters
    ----------
    logits
        Unnormalised log-probabilities of the lengths before the turns begin; what is expected of a user whose turn has
        not come follows from them. Shape (N, K, num_lengths).
    codes
        What is known of each user. Shape (N, K, width).
    order
        The users in the order of their turns. Shape (N, K).
    lengths
        The lengths. Shape (num_lengths,).
    padded
        Whether the others' lengths count by the longest of them, as on a server that pads, or by their sum.
    turn
        Function from codes (..., width) and the others' lengths (...) to what is added to the logits
        (..., num_lengths).
    """

    logits: torch.Tensor
    codes: torch.Tensor
    order: torch.Tensor
    lengths: torch.Tensor
    padded: bool
    turn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    @cached_property
    def _in_turn(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits and codes in the order of the turns, and what is expected of the users after each."""
        order = self.order.unsqueeze(-1)
        logits = self.logits.gather(1, order.expand_as(self.logits))
        expected = torch.softmax(logits, dim=-1) @ self.lengths
        return logits, self.codes.gather(1, order.expand_as(self.codes)), self._before(expected.flip(-1)).flip(-1)

    def _before(self, lengths: torch.Tensor) -> torch.Tensor:
        earlier = torch.cat((torch.zeros_like(lengths[..., :1]), lengths[..., :-1]), dim=-1)
        return earlier.cummax(dim=-1).values if self.padded else earlier.cumsum(dim=-1)

    def _together(self, some: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
        return torch.maximum(some, more) if self.padded else some + more

    def log_probs(self, index: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (N, K, num_lengths) of all lengths of each user, given the lengths of those before it.

        The index (N, K) is that of each chosen length.
        """
        logits, codes, later = self._in_turn
        others = self._together(self._before(self.lengths[index].gather(1, self.order)), later)
        log_probs = torch.log_softmax(logits + self.turn(codes, others), dim=-1)
        return torch.zeros_like(log_probs).scatter(1, self.order.unsqueeze(-1).expand_as(log_probs), log_probs)

    def choose(self, pick: Pick) -> torch.Tensor:
        """Choose the lengths in turn: indices (N, K)."""
        logits, codes, later = self._in_turn
        chosen = torch.zeros_like(self.order)
        before = torch.zeros_like(later[:, 0])
        for turn in range(self.order.shape[-1]):
            others = self._together(before, later[:, turn])
            index = pick(torch.log_softmax(logits[:, turn] + self.turn(codes[:, turn], others), dim=-1))
            before = self._together(before, self.lengths[index])
            chosen.scatter_(1, self.order[:, turn : turn + 1], index.unsqueeze(-1))
        return chosen


Lengths = IndependentLengths | SequentialLengths

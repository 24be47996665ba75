"""The distribution of decisions: draft lengths, then logistic-normal shares given the lengths.

An action holds the centre of each chosen length's bin and, for the shares, logits divided by ``SHARE_SHARPNESS``. A
softmax forgets a common shift of its logits, and users without a draft have no share; so what is executed is the vector
of logits of the users who upload, centred on their mean. Its density is that of a Gaussian with one common standard
deviation, seen in orthonormal coordinates of the centred vectors: dimension M - 1 for M uploading users. Shift and idle
users carry no probability, and log-probabilities are those of the executed decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from multispin_gym.agents.policy.lengths import Lengths, SequentialLengths
from multispin_gym.envs.actions import SHARE_SHARPNESS

# Mean logits stay this far inside the action's box, so that a sample leaves it only beyond many standard deviations.
MEAN_LIMIT = 5.0


@dataclass(frozen=True)
class ActionLayout:
    """How a decision is laid out in the environments' ``Box(-1, 1)`` action.

    Parameters
    ----------
    min_draft_length, max_draft_length
        Allowed draft lengths.
    common_length
        Whether one entry holds the draft length of all users (the homogeneous environment).
    """

    min_draft_length: int
    max_draft_length: int
    common_length: bool = False

    @property
    def num_lengths(self) -> int:
        """Number of allowed draft lengths."""
        return self.max_draft_length - self.min_draft_length + 1

    def encode(self, index: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Lay out indices of lengths (N, K), or (N, 1), and share logits (N, K) as actions (N, 2 K), or (N, K + 1).

        The logits are shifted so that the largest and the smallest lie symmetrically in the box.
        """
        bins = (2.0 * index + 1.0) / self.num_lengths - 1.0
        middle = 0.5 * (logits.amax(dim=-1, keepdim=True) + logits.amin(dim=-1, keepdim=True))
        return torch.cat((bins, (logits - middle) / SHARE_SHARPNESS), dim=-1)

    def split(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Invert :meth:`encode`, up to the shift of the logits: return indices of lengths and share logits."""
        num_heads = 1 if self.common_length else action.shape[-1] // 2
        bins, logits = action[..., :num_heads], action[..., num_heads:]
        index = torch.floor((bins + 1.0) * (0.5 * self.num_lengths)).clamp(0, self.num_lengths - 1)
        return index.long(), logits * SHARE_SHARPNESS

    def lengths(self, index: torch.Tensor, num_users: int) -> torch.Tensor:
        """Draft lengths of all users as floats (N, K), from indices (N, K) or (N, 1)."""
        return (index + float(self.min_draft_length)).expand(-1, num_users)


@dataclass(frozen=True)
class DecisionDistribution:
    """A batch of distributions over decisions.

    Parameters
    ----------
    layout
        The action's layout.
    draft_lengths
        How the lengths are drawn.
    share_mean
        Function from draft lengths (N, K) to the mean share logits (N, K).
    log_std
        Logarithm of the logits' common standard deviation; a scalar, or of shape (N, 1). None where the shares follow
        from the lengths: they then carry no probability.
    num_users
        Number of users K.
    """

    layout: ActionLayout
    draft_lengths: Lengths
    share_mean: Callable[[torch.Tensor], torch.Tensor]
    log_std: torch.Tensor | None
    num_users: int

    def sample(self) -> torch.Tensor:
        """Draw actions (N, 2 K), or (N, K + 1)."""
        index = self.draft_lengths.choose(_draw)
        return self._with_shares(index, None if self.log_std is None else self.log_std.exp())

    def mode(self) -> torch.Tensor:
        """Return actions (N, 2 K), or (N, K + 1), with the likeliest lengths and the mean share logits given them."""
        return self._with_shares(self.draft_lengths.choose(_likeliest), None)

    def _with_shares(self, index: torch.Tensor, std: torch.Tensor | None) -> torch.Tensor:
        lengths = self.layout.lengths(index, self.num_users)
        logits = self._centred_mean(lengths)
        if std is not None:
            logits = logits + std * torch.randn_like(logits)
        uploads = lengths > 0.0
        # Idle users sit between the others, where they cannot widen the range that must fit into the box.
        logits = torch.where(uploads, logits, _masked_mean(logits, uploads))
        return self.layout.encode(index, logits)

    def _centred_mean(self, lengths: torch.Tensor) -> torch.Tensor:
        mean, uploads = self.share_mean(lengths), lengths > 0.0
        return (mean - _masked_mean(mean, uploads)).clamp(-MEAN_LIMIT, MEAN_LIMIT)

    def log_prob(self, action: torch.Tensor) -> torch.Tensor:
        """Log-probability (N,) of the decisions that actions encode: of the lengths, times the shares' density."""
        return self.evaluate(action)[0]

    def evaluate(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability (N,) of the decisions that actions encode, and the entropy (N,) of all decisions, nat.

        The entropy is that of the lengths, plus the mean of the shares' given them. Where lengths are chosen in turn it
        is estimated along those of the actions: without bias where the actions are a sample.
        """
        index, logits = self.layout.split(action)
        log_probs = self.draft_lengths.log_probs(index)
        chosen = log_probs.gather(-1, index.unsqueeze(-1)).squeeze(-1).sum(dim=-1)
        of_lengths = -(log_probs.exp() * log_probs).sum(dim=(-1, -2))
        if self.log_std is None:
            return chosen, of_lengths
        lengths = self.layout.lengths(index, self.num_users)
        uploads = lengths > 0.0
        offset = logits - self._centred_mean(lengths)
        offset = torch.where(uploads, offset - _masked_mean(offset, uploads), 0.0)
        dimension = (uploads.sum(dim=-1) - 1.0).clamp_min(0.0)
        log_std = self.log_std.squeeze(-1) if self.log_std.ndim else self.log_std
        square = (offset * torch.exp(-self.log_std)).square().sum(dim=-1)
        log_prob = chosen - 0.5 * square - dimension * (log_std + 0.5 * math.log(2.0 * math.pi))
        free = dimension if isinstance(self.draft_lengths, SequentialLengths) else self._mean_dimension(log_probs)
        entropy = of_lengths + free * (log_std + 0.5 * math.log(2.0 * math.pi * math.e))
        return log_prob, entropy

    def entropy(self) -> torch.Tensor:
        """Entropy (N,) of the decisions as :meth:`evaluate` gives it, along a sample, nat."""
        return self.evaluate(self.sample())[1]

    def _mean_dimension(self, log_probs: torch.Tensor) -> torch.Tensor:
        """Mean number of free share logits: E[max(M - 1, 0)] with M users uploading."""
        if self.layout.min_draft_length > 0:
            return log_probs.new_tensor(self.num_users - 1.0)
        idle = log_probs[..., 0].exp()
        if self.layout.common_length:
            return (self.num_users - 1.0) * (1.0 - idle.squeeze(-1))
        return (1.0 - idle).sum(dim=-1) - 1.0 + idle.prod(dim=-1)


def _likeliest(log_probs: torch.Tensor) -> torch.Tensor:
    return log_probs.argmax(dim=-1)


def _draw(log_probs: torch.Tensor) -> torch.Tensor:
    cumulative = log_probs.exp().cumsum(dim=-1)
    uniforms = torch.rand(cumulative.shape[:-1], device=cumulative.device) * cumulative[..., -1]
    index = torch.searchsorted(cumulative, uniforms.unsqueeze(-1), right=True).squeeze(-1)
    return index.clamp_max(log_probs.shape[-1] - 1)


def _masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    total = torch.where(mask, values, 0.0).sum(dim=-1, keepdim=True)
    return total / mask.sum(dim=-1, keepdim=True).clamp_min(1)

"""Share references: what the learned share logits are relative to, as a function of the chosen draft lengths."""

from __future__ import annotations

from collections.abc import Callable

import torch

from multispin_gym._validation import check_choice
from multispin_gym.agents.policy.torch_physics import RoundTerms, finish_together
from multispin_gym.physics.cell import Cell

Reference = Callable[[RoundTerms, Cell, torch.Tensor], torch.Tensor]
"""Function of a batch of rounds, their cell and the draft lengths (N, K) to log-shares (N, K), up to a constant."""


def equal_reference(terms: RoundTerms, cell: Cell, lengths: torch.Tensor) -> torch.Tensor:
    """Log-shares of an equal split: the network learns the shares from nothing."""
    return torch.zeros_like(lengths)


def demand_reference(terms: RoundTerms, cell: Cell, lengths: torch.Tensor) -> torch.Tensor:
    """Log-shares in proportion to what each user has to send: its length times its time per token at an equal share.

    Users whose draft length is 0 get 0.
    """
    return torch.log(lengths.clamp_min(1.0) * terms.equal_time) * (lengths > 0.0)


_REFERENCES: dict[str, Reference] = {
    "equal": equal_reference,
    "demand": demand_reference,
    "equal_finish": finish_together,
}


def share_reference(name: str) -> Reference:
    """Return a share reference by name: ``"equal"``, ``"demand"`` or ``"equal_finish"``."""
    return _REFERENCES[check_choice("share_reference", name, _REFERENCES)]

"""Share references: what the learned share logits are relative to, as a function of the chosen draft lengths."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from multispin_gym._validation import check_choice
from multispin_gym.agents.policy.features import RoundTerms
from multispin_gym.physics.cell import Cell

Reference = Callable[[RoundTerms, Cell, torch.Tensor], torch.Tensor]

_DEADLINE_STEPS = 6


def equal_reference(terms: RoundTerms, cell: Cell, lengths: torch.Tensor) -> torch.Tensor:
    """Log-shares of an equal split: the network learns the shares from nothing.

    Parameters
    ----------
    terms
        Terms of the rounds.
    cell
        The shared system.
    lengths
        Chosen draft lengths. Shape (N, K).

    Returns
    -------
    torch.Tensor
        Zeros. Shape (N, K).
    """
    return torch.zeros_like(lengths)


def demand_reference(terms: RoundTerms, cell: Cell, lengths: torch.Tensor) -> torch.Tensor:
    """Log-shares in proportion to what each user has to send: its length times its time per token at an equal share.

    Parameters
    ----------
    terms
        Terms of the rounds.
    cell
        The shared system.
    lengths
        Chosen draft lengths; entries of 0 get 0. Shape (N, K).

    Returns
    -------
    torch.Tensor
        Log-shares up to a constant. Shape (N, K).
    """
    return torch.log(lengths.clamp_min(1.0) * terms.equal_time) * (lengths > 0.0)


def equal_finish_reference(terms: RoundTerms, cell: Cell, lengths: torch.Tensor) -> torch.Tensor:
    """Log-shares with which all users who upload finish together, hence the earliest (model, section 4).

    Newton's method on the deadline, from the least deadline that each user alone could meet; to float32 accuracy.

    Parameters
    ----------
    terms
        Terms of the rounds.
    cell
        The shared system.
    lengths
        Chosen draft lengths; entries of 0 get 0. Shape (N, K).

    Returns
    -------
    torch.Tensor
        Log-shares. Shape (N, K).
    """
    with torch.no_grad():
        uploads = lengths > 0.0
        bits = lengths * (cell.payload * math.log(2.0) / cell.bandwidth)
        alone = bits / torch.log1p(terms.signal / cell.bandwidth)
        drafting = lengths * terms.drafting_time
        deadline = least = (drafting + alone).amax(dim=-1, keepdim=True)
        log_snr: torch.Tensor | None = None
        for step in range(_DEADLINE_STEPS):
            left = torch.where(uploads, deadline - drafting, 1.0)
            if cell.power == "density":
                share, fall = alone / left, alone / left.square()
            else:
                log_snr, grad = _log_snr(left / (lengths * terms.limit_time).clamp_min(1e-30), log_snr)
                share = terms.signal / cell.bandwidth / torch.expm1(log_snr)
                fall = share / (-torch.expm1(-log_snr) * left * grad)
            if step + 1 < _DEADLINE_STEPS:
                total = torch.where(uploads, share, 0.0).sum(dim=-1, keepdim=True)
                slope = torch.where(uploads, fall, 0.0).sum(dim=-1, keepdim=True)
                # Newton on 1 / total, which is almost a straight line in the deadline.
                deadline = torch.maximum(deadline + (total - 1.0) * total / slope.clamp_min(1e-30), least)
        return torch.where(uploads, torch.log(share.clamp_min(1e-30)), 0.0)


def _log_snr(ratio: torch.Tensor, start: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve ``expm1(w) / w = ratio``; one step is enough from the last solution. Also the slope of its log."""
    target = torch.log(ratio).clamp(1e-6, 60.0)
    w = target + torch.log1p(target) if start is None else start
    for _ in range(2 if start is None else 1):
        value, grad = _log_ratio(w)
        w = (w - (value - target) / grad).clamp_min(1e-6)
    return w, grad


def _log_ratio(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ln(expm1(w) / w) and its derivative; a series where float32 would cancel."""
    square = w * w
    decay = -torch.expm1(-w)
    small = w < 0.5
    value = torch.where(small, w / 2 + square / 24 - square**2 / 2880, w + torch.log(decay / w))
    grad = torch.where(small, 0.5 + w / 12 - w * square / 720, 1.0 / decay - 1.0 / w)
    return value, grad


_REFERENCES: dict[str, Reference] = {
    "equal": equal_reference,
    "demand": demand_reference,
    "equal_finish": equal_finish_reference,
}


def share_reference(name: str) -> Reference:
    """Return a share reference by name.

    Parameters
    ----------
    name
        ``"equal"``, ``"demand"`` or ``"equal_finish"``.

    Returns
    -------
    Callable
        A function of the terms, the cell and the draft lengths.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return _REFERENCES[check_choice("share_reference", name, _REFERENCES)]

"""What the networks see: features of order one for each user, made from the terms of its round.

No running statistics enter, so an agent is its weights and the cell, nothing else.
"""

from __future__ import annotations

import torch

from multispin_gym.agents.policy.torch_physics import RoundTerms

USER_FEATURES = 7
DRAFT_FEATURES = 3
_ALPHA_EDGE = 1e-4


def user_features(terms: RoundTerms) -> torch.Tensor:
    """Features of each user: its acceptance, and its times in the server's time unit on a logarithmic scale.

    Of order one; shape (N, K, USER_FEATURES).
    """
    alpha = terms.acceptance_rate.clamp(_ALPHA_EDGE, 1.0 - _ALPHA_EDGE)
    times = torch.stack(
        (terms.drafting_time, terms.equal_time, terms.limit_time, terms.drafting_time + terms.equal_time), dim=-1
    )
    logs = (torch.log(times / terms.unit).clamp(-12.0, 8.0) + 2.0) / 1.5
    columns = (2.0 * alpha - 1.0, torch.log(-torch.log(alpha)), torch.full_like(alpha, terms.slope))
    return torch.cat((torch.stack(columns, dim=-1), logs), dim=-1)


def draft_features(terms: RoundTerms, lengths: torch.Tensor) -> torch.Tensor:
    """Features of each user once the draft lengths (N, K) are chosen; shape (N, K, DRAFT_FEATURES).

    They are its length, and its drafting time and upload time at an equal share.
    """
    drafting = torch.log1p(lengths * terms.drafting_time / terms.unit)
    upload = torch.log1p(lengths * terms.equal_time / terms.unit)
    return torch.stack((0.25 * lengths, drafting, upload), dim=-1)

"""Draft lengths in turn: what a user in its turn makes of the server's time."""

from __future__ import annotations

import torch
from torch import nn

_STEEP = 5.0
_LOG_PRICE_RANGE = (-4.0, 6.0)


class TurnHead(nn.Module):
    """What a user in its turn makes of the server's time: each unit of it has a price, and its steps are seen coming.

    It reads ``num_codes`` features of the user and has one hidden layer.
    """

    def __init__(self, num_codes: int, width: int, num_lengths: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(num_codes + num_lengths, width)
        self.price = nn.Linear(width, 1)
        self.change = nn.Linear(width, num_lengths)
        for head in (self.price, self.change):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, codes: torch.Tensor, others: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Compute what is added to the logits of the lengths, of shape (..., num_lengths).

        Codes (..., num_codes) describe the user, ``others`` (...) are the others' lengths per user, and times
        (..., num_lengths) are the server's for each length of the user.
        """
        rise = torch.asinh(_STEEP * times.diff(dim=-1))
        hidden = torch.nn.functional.silu(self.hidden(torch.cat((codes, others.unsqueeze(-1), rise), dim=-1)))
        price = torch.exp(self.price(hidden).clamp(*_LOG_PRICE_RANGE))
        logits: torch.Tensor = self.change(hidden) - price * times
        return logits

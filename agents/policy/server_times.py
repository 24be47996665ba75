"""Draft lengths in turn: the server's time as the networks see it, and what a user makes of it in its turn."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from multispin_gym.physics.verification import Verification

_STEEP = 5.0
_LOG_PRICE_RANGE = (-4.0, 6.0)


class ServerTimes:
    """The server's time for a batch as the networks see it: differentiable, in units of a user's part of a small batch.

    Parameters
    ----------
    verification
        The server.
    num_users
        Number of users K.
    max_draft_length
        The longest draft that will be asked for.
    """

    def __init__(self, verification: Verification, num_users: int, max_draft_length: int) -> None:
        self.padded = verification.batching == "padded"
        self.num_users = num_users
        times = verification.time(np.arange(num_users * (max_draft_length + 1) + 2.0))
        self._times = torch.as_tensor(num_users * times / times[2 * num_users], dtype=torch.float32)

    def __call__(self, others: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Times of the batches in which one user has each of several lengths.

        Parameters
        ----------
        others
            Sum of the other users' lengths, or the longest of them where the server pads. Shape (...).
        lengths
            Lengths of the user. Shape (L,).

        Returns
        -------
        torch.Tensor
            Times, linear between whole numbers of tokens, in units of 1 / K of the time for two tokens of each user.
            Shape (..., L).
        """
        others = others.unsqueeze(-1)
        drafted = self.num_users * torch.maximum(others, lengths) if self.padded else others + lengths
        tokens = drafted + self.num_users
        times = self._times.to(tokens.device)
        low = tokens.detach().floor().clamp(0.0, len(times) - 2.0)
        before, after = times[low.long()], times[low.long() + 1]
        return before + (tokens - low) * (after - before)


class TurnHead(nn.Module):
    """What a user in its turn makes of the server's time: each unit of it has a price, and its steps are seen coming.

    Parameters
    ----------
    num_codes
        Features of a user.
    width
        Width of the hidden layer.
    num_lengths
        Number of draft lengths.
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
        """Compute what is added to the logits of the lengths.

        Parameters
        ----------
        codes
            Features of the user. Shape (..., num_codes).
        others
            The others' lengths, per user. Shape (...).
        times
            The server's time for each length of the user. Shape (..., num_lengths).

        Returns
        -------
        torch.Tensor
            Logits. Shape (..., num_lengths).
        """
        rise = torch.asinh(_STEEP * times.diff(dim=-1))
        hidden = torch.nn.functional.silu(self.hidden(torch.cat((codes, others.unsqueeze(-1), rise), dim=-1)))
        price = torch.exp(self.price(hidden).clamp(*_LOG_PRICE_RANGE))
        logits: torch.Tensor = self.change(hidden) - price * times
        return logits

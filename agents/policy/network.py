"""Permutation-equivariant networks: one set of weights for any number of users."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import nn

from multispin_gym.agents.config_sections import PolicyConfig
from multispin_gym.agents.policy.distribution import ActionLayout, DecisionDistribution
from multispin_gym.agents.policy.features import DRAFT_FEATURES, USER_FEATURES, draft_features, user_features
from multispin_gym.agents.policy.lengths import IndependentLengths, Lengths, SequentialLengths
from multispin_gym.agents.policy.share_references import share_reference
from multispin_gym.agents.policy.torch_physics import CellTerms, RoundTerms, ServerTimes, finish_together
from multispin_gym.agents.policy.turn_head import TurnHead
from multispin_gym.baselines.solver.server import server_of

_NEVER = -1e9
# Newton steps that are enough for float32 with users that differ by many orders of magnitude, too.
_EXACT_STEPS = 12
_LOG_STD_RANGE = (math.log(5e-3), math.log(0.5))


class SetLayer(nn.Module):
    """One deep-sets layer: each user's own features, and the mean and the maximum over users, each mixed linearly."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.own = nn.Linear(num_inputs, num_outputs)
        self.pooled = nn.Linear(2 * num_inputs, num_outputs, bias=False)

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Turn features (N, K, num_inputs) into new ones (N, K, num_outputs), before the activation."""
        pool = torch.cat((users.mean(dim=-2), users.amax(dim=-2)), dim=-1)
        mixed: torch.Tensor = self.own(users) + self.pooled(pool).unsqueeze(-2)
        return mixed


class SetEncoder(nn.Module):
    """A stack of deep-sets layers of one width, each normalised, with residual connections."""

    def __init__(self, num_inputs: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [num_inputs, *[width] * depth]
        self.layers = nn.ModuleList(SetLayer(i, o) for i, o in itertools.pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(o) for o in sizes[1:])

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Encode each user in the light of all others: features (N, K, num_inputs) to codes (N, K, width)."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            update = torch.nn.functional.silu(norm(layer(users)))
            users = users + update if users.shape == update.shape else update
        return users


class EquivariantActorCritic(nn.Module):
    """Actor and critic over the users of a cell.

    The actor chooses the draft lengths, independently or in turn, then the shares given the lengths: logits relative to
    a fixed reference, plus what the network adds.

    The terms are those of the cell at hand, and so is the action's layout; ``learned`` is the layout that the weights
    belong to, by default the same. Where the cell allows other draft lengths, the choice is among those that both
    allow; if there is none, a ``ValueError`` says so.
    """

    def __init__(
        self, terms: CellTerms, layout: ActionLayout, config: PolicyConfig, learned: ActionLayout | None = None
    ) -> None:
        super().__init__()
        self.terms = terms
        self.layout = layout
        self.learned = layout if learned is None else learned
        first = max(layout.min_draft_length, self.learned.min_draft_length)
        last = min(layout.max_draft_length, self.learned.max_draft_length)
        if first > last:
            raise ValueError(
                f"the agent was trained for draft lengths in [{self.learned.min_draft_length}, "
                f"{self.learned.max_draft_length}], none of which the cell allows: "
                f"[{layout.min_draft_length}, {layout.max_draft_length}]"
            )
        self._common = first, last
        self.config = config
        self.reference = share_reference(config.share_reference)
        width = config.width
        self.actor = SetEncoder(USER_FEATURES, width, config.depth)
        self.length_head = nn.Linear(width, 2 if config.lengths == "ordinal" else self.learned.num_lengths)
        self.turn_head: TurnHead | None = None
        if config.lengths == "sequential" and not layout.common_length:
            self.turn_head = TurnHead(width + 1, 2 * width, self.learned.num_lengths)
        self._servers: dict[int, ServerTimes] = {}
        self.share_layer = SetLayer(width + DRAFT_FEATURES + 1, width)
        self.share_head = nn.Linear(width, 1)
        self.log_std = nn.Parameter(torch.tensor(math.log(config.share_std)))
        self.critic = SetEncoder(USER_FEATURES, config.critic_width, config.depth)
        self.value_head = nn.Linear(2 * config.critic_width, 1)
        for head in (self.length_head, self.share_head, self.value_head):
            nn.init.zeros_(head.bias)
            nn.init.normal_(head.weight, std=0.01)

    def distribution(self, observation: Mapping[str, torch.Tensor]) -> DecisionDistribution:
        """Distributions of the decisions, one per observation; the environments' three arrays have shape (N, K)."""
        terms = self.terms(observation)
        codes = self.actor(user_features(terms))
        return DecisionDistribution(
            layout=self.layout,
            draft_lengths=self._draft_lengths(terms, codes),
            share_mean=lambda lengths: self._share_mean(terms, codes, lengths),
            log_std=None if self.config.shares == "exact" else self.log_std.clamp(*_LOG_STD_RANGE),
            num_users=int(terms.signal.shape[-1]),
        )

    def _draft_lengths(self, terms: RoundTerms, codes: torch.Tensor) -> Lengths:
        head = self.length_head(codes.mean(dim=-2, keepdim=True) if self.layout.common_length else codes)
        logits = self._allowed(self._ordinal_logits(head) if self.config.lengths == "ordinal" else head, _NEVER)
        turn_head = self.turn_head
        if turn_head is None:
            return IndependentLengths(logits)
        server = self._server(codes.shape[-2])
        # The users with the fastest drafts and uploads come last: they can best make up what is missing.
        order = (terms.drafting_time + terms.equal_time).argsort(dim=-1, descending=True, stable=True)
        place = 2.0 / server.num_users * order.argsort(dim=-1).unsqueeze(-1) - 1.0
        learned = _range(self.learned, codes)

        def turn(codes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
            return self._allowed(turn_head(codes, others / server.num_users, server(others, learned)), 0.0)

        return SequentialLengths(
            logits, torch.cat((codes, place), dim=-1), order, _range(self.layout, codes), server.padded, turn
        )

    def _server(self, num_users: int) -> ServerTimes:
        if num_users not in self._servers:
            longest = max(self.layout.max_draft_length, self.learned.max_draft_length)
            self._servers[num_users] = ServerTimes(server_of(self.terms.cell, num_users), num_users, longest)
        return self._servers[num_users]

    def _allowed(self, logits: torch.Tensor, missing: float) -> torch.Tensor:
        """Turn logits of the learned lengths into those of the cell's; what was not learned gets a value."""
        if self.layout == self.learned:
            return logits
        first, last = self._common
        low = self.learned.min_draft_length
        sides = first - self.layout.min_draft_length, self.layout.max_draft_length - last
        return torch.nn.functional.pad(logits[..., first - low : last - low + 1], sides, value=missing)

    def _ordinal_logits(self, head: torch.Tensor) -> torch.Tensor:
        """Logits of a normal density cut to the allowed lengths: neighbouring lengths learn from each other."""
        count = self.learned.num_lengths
        grid = torch.arange(count, dtype=head.dtype, device=head.device)
        centre = 0.5 * (count - 1) * (1.0 + 2.0 * head[..., :1])
        scale = 0.25 * count * torch.exp(head[..., 1:].clamp(-4.0, 2.0))
        return -0.5 * ((grid - centre) / scale).square()

    def _share_mean(self, terms: RoundTerms, codes: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if self.config.shares == "exact":
            return finish_together(terms, self.terms.cell, lengths, steps=_EXACT_STEPS)
        reference = self.reference(terms, self.terms.cell, lengths)
        centred = (reference - reference.mean(dim=-1, keepdim=True)).unsqueeze(-1)
        features = torch.cat((codes, draft_features(terms, lengths), centred), dim=-1)
        addition: torch.Tensor = self.share_head(torch.nn.functional.silu(self.share_layer(features)))
        return reference + addition.squeeze(-1)

    def value(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Estimate the reward to come (N, 1); the environments' three arrays have shape (N, K)."""
        codes = self.critic(user_features(self.terms(observation)))
        pool = torch.cat((codes.mean(dim=-2), codes.amax(dim=-2)), dim=-1)
        estimate: torch.Tensor = self.value_head(pool)
        return estimate


def _range(layout: ActionLayout, like: torch.Tensor) -> torch.Tensor:
    first, last = layout.min_draft_length, layout.max_draft_length
    return torch.arange(first, last + 1, dtype=like.dtype, device=like.device)

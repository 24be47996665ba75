"""Policies that lack a part of the agents' policy: what the ablations compare it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from multispin_gym.agents.policy.features import user_features
from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy, Tensors

HIDDEN = 128


class FlatEncoder(nn.Module):
    """A multilayer perceptron over all users' features, one after the other: bound to their number and their order."""

    def __init__(self, num_users: int, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.layers = nn.Sequential(
            nn.Linear(num_users * num_inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, num_users * num_outputs)
        )

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Encode users (N, K, num_inputs) as (N, K, num_outputs)."""
        codes: torch.Tensor = self.layers(users.flatten(1))
        return codes.unflatten(1, (users.shape[1], self.num_outputs))


class _Changed(EquivariantPolicy):
    """The agents' policy with changed modules; the optimiser is made for what there is in the end."""

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)
        self._change()
        options: dict[str, Any] = {"lr": lr_schedule(1.0), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)

    def _change(self) -> None:
        """Exchange modules."""


class UnnormalisedPolicy(_Changed):
    """Without the normalisation of layers."""

    def _change(self) -> None:
        for encoder in (self.network.actor, self.network.critic):
            encoder.norms = nn.ModuleList(nn.Identity() for _ in encoder.norms)
        super()._change()


class FlatPolicy(_Changed):
    """Perceptrons over all users instead of layers that treat them alike; the same distribution of decisions."""

    def _change(self) -> None:
        num_users = self.observation_space["acceptance_rate"].shape[0]  # type: ignore[index]
        network = self.network
        for name in ("actor", "critic"):
            layers = getattr(network, name).layers
            inputs, outputs = layers[0].own.in_features, layers[-1].own.out_features
            setattr(network, name, FlatEncoder(num_users, inputs, outputs))
        own = network.share_layer.own
        network.share_layer = FlatEncoder(num_users, own.in_features, own.out_features)  # type: ignore[assignment]
        super()._change()


class GaussianPolicy(_Changed):
    """A Gaussian over the action box, which the environment clips, instead of lengths and shares."""

    def _change(self) -> None:
        self.head = nn.Linear(self.policy_config.width, 2)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        self.log_std = nn.Parameter(torch.full((2,), -0.5))
        super()._change()

    def _gaussian(self, obs: Tensors) -> torch.distributions.Independent:
        mean: torch.Tensor = self.head(self.network.actor(user_features(self.network.terms(obs))))
        std = self.log_std.exp().unsqueeze(-1).expand(2, mean.shape[-2]).flatten()
        return torch.distributions.Independent(torch.distributions.Normal(mean.mT.flatten(1), std), 1)  # type: ignore[no-untyped-call]

    def forward(  # type: ignore[override]
        self, obs: Tensors, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose actions, and evaluate them."""
        gaussian = self._gaussian(obs)
        actions = gaussian.mean if deterministic else gaussian.sample()  # type: ignore[no-untyped-call]
        return actions, self.network.value(obs), gaussian.log_prob(actions)  # type: ignore[no-untyped-call]

    def _predict(self, observation: Tensors, deterministic: bool = False) -> torch.Tensor:  # type: ignore[override]
        return self.forward(observation, deterministic)[0]

    def evaluate_actions(  # type: ignore[override]
        self, obs: Tensors, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Evaluate actions under the present weights."""
        gaussian = self._gaussian(obs)
        return self.network.value(obs), gaussian.log_prob(actions), gaussian.entropy()  # type: ignore[no-untyped-call]


class FlatGaussianPolicy(FlatPolicy, GaussianPolicy):
    """Perceptrons over all users and a Gaussian over the box: what a library's default policy comes to."""

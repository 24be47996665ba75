"""The equivariant actor-critic as a Stable-Baselines3 policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor

from multispin_gym.agents.config_sections import PolicyConfig
from multispin_gym.agents.policy.distribution import ActionLayout, DecisionDistribution
from multispin_gym.agents.policy.network import EquivariantActorCritic
from multispin_gym.agents.policy.torch_physics import CellTerms
from multispin_gym.scenarios.scenario import Scenario

Tensors = dict[str, torch.Tensor]


class EquivariantPolicy(ActorCriticPolicy):
    """Policy for ``PPO`` with per-user weights: permutation-equivariant, for any number of users.

    It takes the environments' observations unscaled and computes its features from the scenario's cell.

    Parameters
    ----------
    observation_space
        The environment's observation space.
    action_space
        The environment's action space, of 2 K entries, or of K + 1 in the homogeneous environment.
    lr_schedule
        Learning rate as a function of the remaining progress.
    scenario
        The scenario that the environment plays.
    policy
        Shape of the policy.
    **kwargs
        What else Stable-Baselines3 passes to a policy.

    Raises
    ------
    ValueError
        If the action space belongs to neither environment.

    Examples
    --------
    >>> from stable_baselines3 import PPO
    >>> from multispin_gym.agents import make_training_env
    >>> env = make_training_env("default", num_users=3, num_envs=8)
    >>> model = PPO(EquivariantPolicy, env, n_steps=4, batch_size=32, gamma=0.0,
    ...             policy_kwargs={"scenario": env.get_attr("scenario")[0]})
    >>> model.learn(32).num_timesteps
    32
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        *,
        scenario: Scenario,
        policy: PolicyConfig | None = None,
        **kwargs: Any,
    ) -> None:
        self.scenario = scenario
        self.policy_config = PolicyConfig() if policy is None else policy
        kwargs.pop("use_sde", None)
        kwargs.setdefault("features_extractor_class", CombinedExtractor)
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        cell = self.scenario.cell
        num_users = self.observation_space["acceptance_rate"].shape[0]  # type: ignore[index]
        size = self.action_space.shape[0]  # type: ignore[index]
        if size not in (2 * num_users, num_users + 1):
            raise ValueError(
                f"action_space must have {2 * num_users} or {num_users + 1} entries for {num_users} users, got {size}"
            )
        common = size == num_users + 1 and num_users > 1
        layout = ActionLayout(cell.min_draft_length, cell.max_draft_length, common_length=common)
        terms = CellTerms(cell, self.scenario.reference_power)
        self.network = EquivariantActorCritic(terms, layout, self.policy_config)
        options: dict[str, Any] = {"lr": lr_schedule(1.0), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        parameters = super()._get_constructor_parameters()
        parameters.update(scenario=self.scenario, policy=self.policy_config)
        return parameters

    def get_distribution(self, obs: Tensors) -> DecisionDistribution:  # type: ignore[override]
        """Return the distribution of the decisions.

        Parameters
        ----------
        obs
            Observations. Shape (N, K) each.

        Returns
        -------
        DecisionDistribution
            One distribution per observation.
        """
        return self.network.distribution(obs)

    def forward(  # type: ignore[override]
        self, obs: Tensors, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Choose actions, and evaluate them.

        Parameters
        ----------
        obs
            Observations. Shape (N, K) each.
        deterministic
            Whether to take the mode rather than a sample.

        Returns
        -------
        tuple of torch.Tensor
            Actions, values (N, 1) and log-probabilities (N,).
        """
        distribution = self.network.distribution(obs)
        actions = distribution.mode() if deterministic else distribution.sample()
        return actions, self.network.value(obs), distribution.log_prob(actions)

    def _predict(self, observation: Tensors, deterministic: bool = False) -> torch.Tensor:  # type: ignore[override]
        distribution = self.network.distribution(observation)
        return distribution.mode() if deterministic else distribution.sample()

    def evaluate_actions(  # type: ignore[override]
        self, obs: Tensors, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Evaluate actions under the present weights.

        Parameters
        ----------
        obs
            Observations. Shape (N, K) each.
        actions
            Actions.

        Returns
        -------
        tuple of torch.Tensor
            Values (N, 1), log-probabilities (N,) and entropies (N,).
        """
        distribution = self.network.distribution(obs)
        return self.network.value(obs), *distribution.evaluate(actions)

    def predict_values(self, obs: Tensors) -> torch.Tensor:  # type: ignore[override]
        """Estimate the reward to come.

        Parameters
        ----------
        obs
            Observations. Shape (N, K) each.

        Returns
        -------
        torch.Tensor
            Values. Shape (N, 1).
        """
        return self.network.value(obs)

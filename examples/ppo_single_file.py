"""PPO in one file, in the manner of CleanRL, over the native vector environment.

    python examples/ppo_single_file.py --total-timesteps 1000000

An agent is never told who is a good controller; compare with ``python examples/controllers_in_parallel.py``.
"""

import time
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import nn
from torch.distributions import Normal

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.wrappers import VectorScaledObservation


@dataclass
class Args:
    """Hyperparameters."""

    scenario: str = "default"
    """Name or path of the scenario."""
    num_users: int = 8
    """Users in a cell."""
    num_envs: int = 1024
    """Cells played in parallel."""
    num_steps: int = 8
    """Rounds between two updates."""
    total_timesteps: int = 1_000_000
    """Rounds in all cells together."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    num_minibatches: int = 4
    """Minibatches of an epoch."""
    update_epochs: int = 4
    """Epochs of an update."""
    gamma: float = 0.0
    """Discount; 0 because nothing that is decided in a round carries over to the next."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation."""
    clip_coef: float = 0.2
    """Clipping range of the probability ratio."""
    ent_coef: float = 0.0
    """Weight of the entropy."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    reward_unit: float = 100.0
    """Rewards are divided by this, token/s."""
    seed: int = 0
    """Seed of users, channels, network and actions."""


class Agent(nn.Module):
    """Gaussian policy with its own width for every entry of the action, and a value."""

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(
            nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, actions)
        )
        self.critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        self.log_std = nn.Parameter(torch.full((actions,), -0.7))
        with torch.no_grad():
            self.actor[-1].weight.mul_(0.01)

    def policy(self, observation: torch.Tensor) -> Normal:
        return Normal(self.actor(observation), self.log_std.exp())

    def value(self, observation: torch.Tensor) -> torch.Tensor:
        return self.critic(observation).squeeze(-1)


def flatten(observation: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(list(observation.values()), axis=-1))


def final_observations(infos: dict, rows: np.ndarray) -> torch.Tensor:
    """What the episodes that ended saw last; the observation itself is that of the next episode already."""
    return torch.stack([flatten(infos["final_obs"][row]) for row in rows])


def train(args: Args) -> list[float]:
    """Train; return the mean goodput (token/s) of every batch."""
    torch.manual_seed(args.seed)
    envs = VectorScaledObservation(
        gym.make_vec(
            "multispin_gym/MultiSpin-v0",
            num_envs=args.num_envs,
            vectorization_mode="vector_entry_point",
            scenario=args.scenario,
            num_users=args.num_users,
            autoreset_mode="SameStep",
        )
    )
    agent = Agent(3 * args.num_users, envs.single_action_space.shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate)
    batch = (args.num_steps, args.num_envs)
    observations = torch.zeros((*batch, 3 * args.num_users))
    actions = torch.zeros((*batch, envs.single_action_space.shape[0]))
    log_probs, rewards, values, next_values = (torch.zeros(batch) for _ in range(4))
    dones = torch.zeros(batch)
    observation = flatten(envs.reset(seed=args.seed)[0])
    history, start = [], time.perf_counter()
    updates = max(1, args.total_timesteps // (args.num_steps * args.num_envs))
    for update in range(1, updates + 1):
        for step in range(args.num_steps):
            with torch.no_grad():
                policy = agent.policy(observation)
                action = policy.sample()
                observations[step], actions[step] = observation, action
                log_probs[step] = policy.log_prob(action).sum(-1)
                values[step] = agent.value(observation)
            new, reward, terminated, truncated, infos = envs.step(action.numpy())
            observation = flatten(new)
            rewards[step] = torch.from_numpy(reward / args.reward_unit)
            done = terminated | truncated
            dones[step] = torch.from_numpy(done)
            with torch.no_grad():
                next_values[step] = agent.value(observation)
                ended = np.flatnonzero(truncated)
                if ended.size:
                    next_values[step, ended] = agent.value(final_observations(infos, ended))
        advantages, carried = torch.zeros(batch), torch.zeros(args.num_envs)
        for step in reversed(range(args.num_steps)):
            delta = rewards[step] + args.gamma * next_values[step] - values[step]
            carried = delta + args.gamma * args.gae_lambda * (1.0 - dones[step]) * carried
            advantages[step] = carried
        data = [x.flatten(0, 1) for x in (observations, actions, log_probs, advantages, advantages + values)]
        optimise(agent, optimizer, args, data)
        history.append(float(rewards.mean()) * args.reward_unit)
        if update % 10 == 0 or update == updates:
            speed = update * args.num_steps * args.num_envs / (time.perf_counter() - start)
            print(f"update {update:>4}  goodput {history[-1]:6.1f} token/s  {speed:,.0f} steps/s")
    envs.close()
    return history


def optimise(agent: Agent, optimizer: torch.optim.Optimizer, args: Args, data: list[torch.Tensor]) -> None:
    """Make the update's epochs over one batch."""
    size = len(data[0])
    for _ in range(args.update_epochs):
        for rows in torch.randperm(size).split(size // args.num_minibatches):
            observation, action, old_log_prob, advantage, target = (x[rows] for x in data)
            policy = agent.policy(observation)
            ratio = (policy.log_prob(action).sum(-1) - old_log_prob).exp()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1.0 - args.clip_coef, 1.0 + args.clip_coef)
            loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
            loss = loss - args.ent_coef * policy.entropy().sum(-1).mean()
            loss = loss + args.vf_coef * (agent.value(observation) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


if __name__ == "__main__":
    train(tyro.cli(Args))

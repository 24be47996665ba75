"""PPO in TorchRL, from its parts: ``GymWrapper`` over the native vector environment, ``Collector``, ``ClipPPOLoss``.

Needs TorchRL: ``pip install torchrl``.

    python examples/torchrl_ppo.py --total-timesteps 50000
"""

import argparse
from collections.abc import Callable, Mapping

import gymnasium as gym
import numpy as np
import torch
from tensordict.nn import AddStateIndependentNormalScale, TensorDictModule, TensorDictSequential
from torch import nn
from torch.distributions import Independent, Normal
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.evaluation import as_policy, evaluate
from multispin_gym.wrappers import ScaledObservation, VectorScaledObservation

torch.set_num_threads(1)

KEYS = ["acceptance_rate", "channel_gain_db", "drafting_speed"]
NUM_ENVS, ROUNDS, EPOCHS, MINIBATCH = 8, 32, 10, 64


def make_env(scenario: str, num_users: int | None, num_envs: int = NUM_ENVS) -> GymWrapper:
    """Make a TorchRL environment of several cells; TorchRL resets the cells itself, so autoreset is off."""
    native = gym.make_vec(
        "multispin_gym/MultiSpin-v0",
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        scenario=scenario,
        num_users=num_users,
        autoreset_mode="Disabled",
    )
    return GymWrapper(VectorScaledObservation(native))


class Layers(nn.Module):
    """A perceptron over the observation's arrays side by side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat(arrays, dim=-1))


def diagonal(loc: torch.Tensor, scale: torch.Tensor) -> Independent:
    return Independent(Normal(loc, scale), 1)


def make_actor(env: GymWrapper) -> ProbabilisticActor:
    """Make a Gaussian policy with one standard deviation for each entry of the action, 0.37 at first."""
    entries = env.action_spec.shape[-1]
    inputs = sum(env.observation_spec[key].shape[-1] for key in KEYS)
    mean = TensorDictModule(Layers(inputs, entries), in_keys=KEYS, out_keys=["loc"])
    scale = AddStateIndependentNormalScale(entries, scale_mapping="exp", init_value=-1.0)
    both = TensorDictSequential(mean, TensorDictModule(scale, in_keys=["loc"], out_keys=["loc", "scale"]))
    return ProbabilisticActor(
        both, in_keys=["loc", "scale"], distribution_class=diagonal, return_log_prob=True, spec=None
    )


def train(
    scenario: str = "default", num_users: int | None = None, total_timesteps: int = 50_000, seed: int = 0
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Train; return the policy, a function of batched observations."""
    torch.manual_seed(seed)
    env = make_env(scenario, num_users)
    env.set_seed(seed)
    actor = make_actor(env)
    critic = ValueOperator(Layers(sum(env.observation_spec[key].shape[-1] for key in KEYS), 1), in_keys=KEYS)
    loss = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_bonus=False, critic_coeff=0.5, loss_critic_type="l2")
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    batch = NUM_ENVS * ROUNDS
    collector = Collector(env, actor, frames_per_batch=batch, total_frames=batch * max(1, total_timesteps // batch))
    for collected in collector:
        rounds = collected.flatten()
        # Without a discount a round's return is its reward, and its advantage what the value did not expect.
        reward = rounds["next", "reward"] / 100.0
        with torch.no_grad():
            advantage = reward - critic(rounds.select(*KEYS))["state_value"]
        rounds["advantage"] = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        rounds["value_target"] = reward
        for _ in range(EPOCHS):
            for rows in torch.randperm(batch).split(MINIBATCH):
                losses = loss(rounds[rows])
                optimizer.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"]).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
    collector.shutdown()
    shown = gym.make("multispin_gym/MultiSpin-v0", scenario=scenario, num_users=num_users)
    scale, network = ScaledObservation(shown).observation, actor[0][0].module

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        scaled = scale(observation)
        with torch.no_grad():
            mean = network(*(torch.from_numpy(scaled[key]) for key in KEYS))
        return mean.clip(-1.0, 1.0).numpy()

    return act


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="default", help="name of a preset, or path of a scenario file")
    parser.add_argument("--total-timesteps", type=int, default=50_000, help="rounds")
    options = parser.parse_args()
    trained = train(options.scenario, total_timesteps=options.total_timesteps)
    print(evaluate({"TorchRL": as_policy(trained), "uniform_best": "uniform_best"}, options.scenario))

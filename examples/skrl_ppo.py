"""PPO in skrl, over the native vector environment through skrl's Gymnasium wrapper.

Needs skrl: ``pip install skrl``.

    python examples/skrl_ppo.py --total-timesteps 50000
"""

import argparse
import warnings
from collections.abc import Callable, Mapping

import gymnasium as gym
import numpy as np
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.evaluation import as_policy, evaluate
from multispin_gym.wrappers import ScaledObservation, VectorScaledObservation

torch.set_num_threads(1)

NUM_ENVS, ROLLOUTS = 8, 64


def layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


class Policy(GaussianMixin, Model):
    """Gaussian over the action box, narrow at first."""

    def __init__(self, **spaces: object) -> None:
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self, clip_actions=False)
        self.net = layers(self.num_observations, self.num_actions)
        self.log_std = nn.Parameter(torch.full((self.num_actions,), -1.5))

    def compute(self, inputs: dict, role: str = "") -> tuple:
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    """Value of an observation."""

    def __init__(self, **spaces: object) -> None:
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = layers(self.num_observations, 1)

    def compute(self, inputs: dict, role: str = "") -> tuple:
        return self.net(inputs["observations"]), {}


def train(
    scenario: str = "default", num_users: int | None = None, total_timesteps: int = 50_000, seed: int = 0
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Train; return the policy, a function of batched observations."""
    set_seed(seed)
    native = gym.make_vec(
        "multispin_gym/MultiSpin-v0",
        num_envs=NUM_ENVS,
        vectorization_mode="vector_entry_point",
        scenario=scenario,
        num_users=num_users,
        autoreset_mode="SameStep",
    )
    env = wrap_env(VectorScaledObservation(native), wrapper="gymnasium", verbose=False)
    spaces = {
        "observation_space": env.observation_space,
        "state_space": env.state_space,
        "action_space": env.action_space,
        "device": "cpu",
    }
    models = {"policy": Policy(**spaces), "value": Value(**spaces)}
    cfg = PPO_CFG(
        rollouts=ROLLOUTS,
        learning_epochs=10,
        mini_batches=4,
        discount_factor=0.0,
        learning_rate=1e-3,
        value_clip=0.0,
        rewards_shaper=lambda rewards, *_: rewards / 100.0,
    )
    cfg.experiment.write_interval = cfg.experiment.checkpoint_interval = 0
    agent = PPO(models=models, memory=RandomMemory(memory_size=ROLLOUTS, num_envs=NUM_ENVS), cfg=cfg, **spaces)
    settings = {"timesteps": total_timesteps // NUM_ENVS, "headless": True, "disable_progressbar": True}
    SequentialTrainer(env=env, agents=agent, cfg=settings).train()

    shown = gym.make("multispin_gym/MultiSpin-v0", scenario=scenario, num_users=num_users)
    scale = ScaledObservation(shown).observation

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        scaled = scale(observation)
        flat = torch.from_numpy(np.concatenate([scaled[key] for key in env.observation_space], axis=-1))
        with torch.no_grad():
            return models["policy"].net(flat).clip(-1.0, 1.0).numpy()

    return act


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="default", help="name of a preset, or path of a scenario file")
    parser.add_argument("--total-timesteps", type=int, default=50_000, help="rounds")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    trained = train(options.scenario, total_timesteps=options.total_timesteps)
    print(evaluate({"skrl": as_policy(trained), "uniform_best": "uniform_best"}, options.scenario))

"""PPO in RLlib on a local Ray instance.

RLlib pins a version of Gymnasium of its own; give it an environment of its own:

    python -m venv .venv-rllib
    .venv-rllib/bin/pip install "ray[rllib]==2.60.0" torch==2.13.0 -e ".[report]"
    .venv-rllib/bin/python examples/rllib_ppo.py --total-timesteps 50000
"""

import argparse
import warnings
from collections.abc import Callable, Mapping

import gymnasium as gym
import numpy as np
import ray
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.registry import register_env

from multispin_gym.evaluation import as_policy, evaluate
from multispin_gym.wrappers import ScaledObservation

# Rewards of some hundred token/s are far beyond RLlib's clip of the value loss (vf_clip_param, 10): the value never
# learns them, and its loss swamps the gradient that is clipped as a whole.
REWARD_UNIT = 100.0


def make_env(config: dict) -> gym.Env:
    """Make a single environment whose observation is one vector; called in Ray's worker processes."""
    import multispin_gym  # noqa: F401 (registers the environments in this process)

    env = ScaledObservation(gym.make("multispin_gym/MultiSpin-v0", **config))
    env = gym.wrappers.TransformReward(env, lambda reward: reward / REWARD_UNIT)
    return gym.wrappers.FlattenObservation(env)


class NarrowAtFirst(DefaultPPOTorchRLModule):
    """RLlib's module, whose standard deviations begin at 0.22 instead of 1.

    At 1 they are as wide as the box: most actions are then cut at its bounds, where some user has hardly any band and
    everybody waits for it. What RLlib has for initial biases does not reach this head.
    """

    def setup(self) -> None:
        super().setup()
        with torch.no_grad():
            self.pi.log_std.fill_(-1.5)


def make_config(scenario: str, num_users: int | None, seed: int, workers: int) -> PPOConfig:
    """Configure PPO; the comments say what differs from RLlib's defaults and why."""
    return (
        PPOConfig()
        .environment("multispin", env_config={"scenario": scenario, "num_users": num_users})
        .env_runners(num_env_runners=workers, num_envs_per_env_runner=8)
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=NarrowAtFirst,
                model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False, free_log_std=True),
            )
        )
        .training(
            gamma=0.0,  # no decision changes a later round
            lr=1e-3,  # 5e-5 is made for millions of steps
            train_batch_size_per_learner=512,  # as few rounds between updates as the budget is small
            minibatch_size=128,
            num_epochs=10,
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .debugging(seed=seed, log_level="ERROR")
    )


def train(
    scenario: str = "default",
    num_users: int | None = None,
    total_timesteps: int = 50_000,
    seed: int = 0,
    workers: int = 0,
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Train; return the policy, a function of batched observations. Without workers the driver samples itself."""
    ray.init(num_cpus=1 + workers, include_dashboard=False, ignore_reinit_error=True)
    register_env("multispin", make_env)
    torch.set_num_threads(1)
    algorithm = make_config(scenario, num_users, seed, workers).build_algo()
    steps = 0
    while steps < total_timesteps:
        result = algorithm.train()
        steps = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
    module = algorithm.get_module()
    shown = gym.make("multispin_gym/MultiSpin-v0", scenario=scenario, num_users=num_users)
    scale, space = ScaledObservation(shown).observation, shown.observation_space

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        scaled = scale(observation)
        flat = np.concatenate([scaled[key] for key in space], axis=-1)
        with torch.no_grad():
            out = module.forward_inference({"obs": torch.from_numpy(flat)})["action_dist_inputs"]
        # Means, then log standard deviations; RLlib stretches [-1, 1] to the bounds of the box, which are the same.
        return out[:, : out.shape[1] // 2].clip(-1.0, 1.0).numpy()

    algorithm.stop()
    ray.shutdown()
    return act


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="default", help="name of a preset, or path of a scenario file")
    parser.add_argument("--total-timesteps", type=int, default=50_000, help="rounds")
    parser.add_argument("--workers", type=int, default=0, help="processes that sample; 0: the driver does")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    trained = train(options.scenario, total_timesteps=options.total_timesteps, workers=options.workers)
    print(evaluate({"RLlib": as_policy(trained), "uniform_best": "uniform_best"}, options.scenario))

"""Record videos of an agent's episodes with the recorders of Gymnasium and Stable-Baselines3.

pip install moviepy "pillow<12"          # moviepy's own bound
python examples/record_video.py --folder videos
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium as gym
from gymnasium.wrappers import RecordVideo

import multispin_gym  # noqa: F401 - registers the environments
from multispin_gym.baselines import make_controller

ID = "multispin_gym/MultiSpin-v0"


def record_with_gymnasium(folder: Path, num_users: int, rounds: int) -> None:
    """Record an episode of a controller's."""
    env = gym.make(ID, num_users=num_users, optimum=True, render_mode="rgb_array", max_episode_steps=rounds)
    env = RecordVideo(env, str(folder), episode_trigger=lambda episode: True, name_prefix="controller")
    controller, inner = make_controller("heterogeneous"), env.unwrapped
    env.reset(seed=0)
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step(inner.encode_action(controller(inner.users, inner.cell)))
        over = terminated or truncated
    env.close()


def record_with_stable_baselines(folder: Path, num_users: int, rounds: int) -> None:
    """Record some rounds of an untrained model's, in two environments side by side."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecVideoRecorder

    envs = make_vec_env(ID, n_envs=2, env_kwargs={"num_users": num_users, "render_mode": "rgb_array"})
    envs = VecVideoRecorder(envs, str(folder), lambda step: step == 0, video_length=rounds, name_prefix="model")
    model = PPO("MultiInputPolicy", envs, device="cpu")
    observations = envs.reset()
    for _ in range(rounds):
        observations, *_ = envs.step(model.predict(observations)[0])
    envs.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("videos"))
    parser.add_argument("--num-users", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    record_with_gymnasium(options.folder, options.num_users, options.rounds)
    record_with_stable_baselines(options.folder, options.num_users, options.rounds)
    print(*sorted(str(path) for path in options.folder.glob("*.mp4")), sep="\n")


if __name__ == "__main__":
    main()

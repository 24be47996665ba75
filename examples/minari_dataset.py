"""Record a controller's rounds as a Minari data set, and make its environment again from the data set.

Needs Minari: ``pip install "minari[create,hdf5]"``, which brings jax to record with. Data sets lie in
``~/.minari/datasets``, or where ``MINARI_DATASETS_PATH`` says.

    python examples/minari_dataset.py --episodes 100
"""

import argparse

import gymnasium as gym
import minari
import numpy as np

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.baselines import make_controller
from multispin_gym.wrappers import ScaledObservation


def record(
    dataset_id: str,
    episodes: int,
    scenario: str = "default",
    num_users: int | None = None,
    controller: str = "heterogeneous",
    noise: float = 0.0,
    seed: int = 0,
) -> minari.MinariDataset:
    """Play a controller and keep every round; what is random is in the seed.

    The noise is the standard deviation of what is added to actions: data without any say nothing of other decisions.
    """
    env = minari.DataCollector(
        gym.make("multispin_gym/MultiSpin-v0", scenario=scenario, num_users=num_users),
        record_infos=True,
        data_format="hdf5",
    )
    decide, random = make_controller(controller), np.random.default_rng(seed)
    access = env.unwrapped
    for episode in range(episodes):
        env.reset(seed=seed + episode)
        truncated = False
        while not truncated:
            action = access.encode_action(decide(access.users, access.cell))
            if noise:
                action = np.clip(action + noise * random.standard_normal(action.shape), -1.0, 1.0).astype(np.float32)
            _, _, _, truncated, _ = env.step(action)
    dataset = env.create_dataset(
        dataset_id=dataset_id,
        algorithm_name=controller,
        author="multispin_gym",
        description=f"{controller} in {scenario}, noise {noise:g}",
    )
    env.close()
    return dataset


def scaled_rounds(dataset: minari.MinariDataset) -> dict[str, np.ndarray]:
    """All rounds of a data set in arrays, observations flat and scaled to [-1, 1] as offline learners want them."""
    scale = ScaledObservation(dataset.recover_environment()).observation
    observations, actions, rewards, ends = [], [], [], []
    for episode in dataset.iterate_episodes():
        shown = scale(episode.observations)
        # The last observation of an episode is one that nobody has decided on.
        observations.append(np.concatenate([shown[key] for key in dataset.observation_space], axis=-1)[:-1])
        actions.append(episode.actions)
        rewards.append(episode.rewards)
        ends.append(episode.truncations)
    data = {"observations": observations, "actions": actions, "rewards": rewards, "ends": ends}
    return {name: np.concatenate(parts) for name, parts in data.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset-id", default="multispin/heterogeneous-v0", help="name of the data set")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of 100 rounds")
    options = parser.parse_args()
    recorded = record(options.dataset_id, options.episodes)
    rounds = scaled_rounds(recorded)
    print(f"{len(rounds['rewards'])} rounds, {rounds['rewards'].mean():.1f} token/s, {recorded.spec.dataset_id}")
    print(recorded.recover_environment())

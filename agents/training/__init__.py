"""Training: PPO's environment, cloning, what happens between updates, checkpoints, and several seeds at once."""

from typing import TYPE_CHECKING

from multispin_gym._lazy import lazy_names

if TYPE_CHECKING:
    from multispin_gym.agents.training.env import make_native_env, make_training_env
    from multispin_gym.agents.training.held_out import HELD_OUT_SEED, HeldOutCells, HeldOutEpisodes
    from multispin_gym.agents.training.trainer import TrainingResult, build_model, describe, train, training_seeds

__all__ = [
    "HELD_OUT_SEED",
    "HeldOutCells",
    "HeldOutEpisodes",
    "TrainingResult",
    "build_model",
    "describe",
    "make_native_env",
    "make_training_env",
    "train",
    "training_seeds",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("TrainingResult", "build_model", "describe", "train", "training_seeds"), "trainer"),
        **dict.fromkeys(("make_native_env", "make_training_env"), "env"),
        **dict.fromkeys(("HELD_OUT_SEED", "HeldOutCells", "HeldOutEpisodes"), "held_out"),
    },
)

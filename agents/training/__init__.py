"""Training: PPO's environment, cloning, what happens between updates, checkpoints, and several seeds at once."""

from typing import TYPE_CHECKING

from multispin_gym._lazy import lazy_names

if TYPE_CHECKING:
    from multispin_gym.agents.training.trainer import TrainingResult, build_model, describe, train, training_seeds

__all__ = ["TrainingResult", "build_model", "describe", "train", "training_seeds"]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "trainer"))

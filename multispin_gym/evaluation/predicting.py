"""Models with ``predict``, as Stable-Baselines3 makes them: fed with observations as they saw them in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from multispin_gym.envs.observations import Observation
from multispin_gym.envs.variants import Variant
from multispin_gym.envs.wrappers import ObservationScale
from multispin_gym.scenarios.scenario import Scenario

Feed = Callable[[Observation], Any]


@runtime_checkable
class Model(Protocol):
    """A trained model of Stable-Baselines3, or of a library with the same face."""

    observation_space: Any
    action_space: Any

    def predict(self, observation: Any, *, deterministic: bool = False) -> tuple[Any, Any]:
        """Return actions for observations, and a recurrent model's state."""


class ModelPolicy:
    """An agent made of a model: sees observations raw or scaled to [-1, 1], as dictionaries or in one flat array.

    Parameters
    ----------
    model
        The model, whose spaces say which it is.
    variant, scenario
        What it will be played in.
    statistics
        File of the statistics that its observations may have been normalised with, for errors.
    """

    def __init__(self, model: Model, variant: Variant, scenario: Scenario, statistics: Path | None = None) -> None:
        self.model = model
        space = variant.observations(scenario, scenario.num_users).space
        _check_spaces(model, space, scenario.num_users)
        self._feed = _feed(model, space, statistics)

    def act(self, observation: Mapping[str, NDArray[np.float32]]) -> NDArray[Any]:
        """Return the actions for a batch of observations, each of shape (N, K)."""
        actions, state = self.model.predict(self._feed(dict(observation)), deterministic=True)
        if state is not None:
            raise ValueError("recurrent models are not evaluated: their memory would begin anew in every round")
        return np.asarray(actions)


def _check_spaces(model: Model, space: spaces.Dict, num_users: int) -> None:
    """Refuse a model for another number of users, or with other observations or actions than the environment's."""
    seen, acts = model.observation_space, model.action_space
    if isinstance(seen, spaces.Dict) and set(seen) != set(space):
        raise ValueError(f"the model observes {', '.join(seen)}; the environment shows {', '.join(space)}")
    trained = num_users
    if isinstance(seen, spaces.Dict):
        counts: set[Any] = {box.shape for key, box in seen.items() if space[key].shape == (num_users,)}
        trained = next(iter(counts))[0] if {len(shape) for shape in counts} == {1} else 0
    elif isinstance(seen, spaces.Box) and len(seen.shape) == 1:
        trained, rest = divmod(num_users * (seen.shape[0] - spaces.flatdim(space)), len(space) * num_users)
        trained = 0 if rest else num_users + trained
    else:
        trained = 0
    if trained < 1:
        raise ValueError(f"the model observes {seen}, which is no form of the environment's {space}")
    if trained != num_users:
        raise ValueError(
            f"the model was trained with {trained} users and cannot decide for {num_users}: evaluate it with num_users "
            f"{trained}"
        )
    if not (isinstance(acts, spaces.Box) and (acts.low == -1.0).all() and (acts.high == 1.0).all()):
        raise ValueError(f"the model acts in {acts}; the environment takes a box of numbers in [-1, 1]")


def _feed(model: Model, space: spaces.Dict, statistics: Path | None) -> Feed:
    """Return what turns the environment's observations into those that the model was trained on."""
    seen: Any = model.observation_space
    steps: list[Feed] = []
    if any(_is_normalised(box) for box in _boxes(seen)):
        carried = _normalisation(model, statistics)
        steps.append(carried.normalize_obs)
        # What it normalises says how observations were seen before.
        seen = carried.venv.observation_space
    if not isinstance(seen, spaces.Dict):
        steps.insert(0, lambda shown: np.concatenate([shown[key] for key in space], axis=-1))
    if all((box.low == -1.0).all() and (box.high == 1.0).all() for box in _boxes(seen)):
        steps.insert(0, ObservationScale(space))
    return lambda shown: _apply(steps, shown)


def _boxes(space: Any) -> list[Any]:
    return list(space.values()) if isinstance(space, spaces.Dict) else [space]


def _apply(steps: list[Feed], shown: Any) -> Any:
    for step in steps:
        shown = step(shown)
    return shown


def _is_normalised(box: Any) -> bool:
    """Whether a box is one of running statistics: clipped at the same number on both sides, and not at 1."""
    return bool((box.high != 1.0).all() and (box.low == -box.high).all())


def _normalisation(model: Model, statistics: Path | None) -> Any:
    """Return the environment with running statistics that a model carries with it."""
    carried = getattr(model, "get_vec_normalize_env", lambda: None)()
    if carried is None:
        file = "vecnormalize.pkl" if statistics is None else str(statistics)
        where = "are not in the policy's file, but in one such as" if statistics is None else "lie in"
        raise ValueError(
            f"the model was trained on observations normalised by VecNormalize, whose statistics {where} {file}: load "
            f"them with env = VecNormalize.load({file!r}, venv), load the model with env=env, and pass the model "
            f"itself to evaluate"
        )
    return carried

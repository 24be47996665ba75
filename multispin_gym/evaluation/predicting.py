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
    seen = model.observation_space
    steps: list[Feed] = []
    if all((box.low == -1.0).all() and (box.high == 1.0).all() for box in _boxes(seen).values()):
        steps.append(ObservationScale(space))
    if not isinstance(seen, spaces.Dict):
        steps.append(lambda shown: np.concatenate([shown[key] for key in space], axis=-1))
    carried = getattr(model, "get_vec_normalize_env", lambda: None)()
    if carried is not None and carried.norm_obs:
        steps.append(carried.normalize_obs)
    elif carried is None and (statistics is not None or _is_normalised(model)):
        raise ValueError(_missing_statistics(statistics))
    return lambda shown: _apply(steps, shown)


def _boxes(space: Any) -> dict[str, Any]:
    return dict(space) if isinstance(space, spaces.Dict) else {"": space}


def _apply(steps: list[Feed], shown: Any) -> Any:
    for step in steps:
        shown = step(shown)
    return shown


def _is_normalised(model: Model) -> bool:
    """Whether the last observation of a model's training, which models keep, is none of its environment's."""
    last = getattr(model, "_last_obs", None)
    if last is None:
        return False
    seen = last if isinstance(last, dict) else {"": last}
    return any(
        bool((seen[key] < box.low).any() or (seen[key] > box.high).any())
        for key, box in _boxes(model.observation_space).items()
    )


def _missing_statistics(file: Path | None) -> str:
    name = "vecnormalize.pkl" if file is None else str(file)
    if file is None:
        why = (
            f"its observations were normalised by VecNormalize, whose statistics are in a file of their own, {name} say"
        )
    else:
        why = f"the statistics of VecNormalize in {name} belong to it (if only rewards were normalised, move them away)"
    return (
        f"{why}: load them with env = VecNormalize.load({name!r}, venv), load the model with env=env, and pass the "
        f"model itself to evaluate"
    )

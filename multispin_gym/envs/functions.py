"""Functions of observations as policies."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array


@dataclass(frozen=True)
class FunctionPolicy:
    """An agent made of a function; see :func:`as_policy`.

    Parameters
    ----------
    function
        What maps observations to actions.
    """

    function: Callable[[Any], Any]

    def act(self, observation: Mapping[str, Float32Array]) -> NDArray[Any]:
        """Return the actions for a batch of observations.

        Parameters
        ----------
        observation
            The environment's arrays, (N, K) each.

        Returns
        -------
        numpy.ndarray
            Actions. Shape (N, A).
        """
        # Whoever has a module has imported torch; this library does without.
        torch: Any = sys.modules.get("torch")
        if torch is not None and isinstance(self.function, torch.nn.Module):
            return _to_numpy(_call_module(torch, self.function, observation))
        return _to_numpy(self.function(dict(observation)))


def as_policy(function: Callable[[Any], Any]) -> FunctionPolicy:
    """Make an agent of a function from batched observations to actions.

    Parameters
    ----------
    function
        A function of a dictionary of float32 arrays of shape (N, K), by the observation's keys, which returns actions
        of the environment, shape (N, A), as a NumPy array or a torch tensor. A torch module is called with tensors on
        its own device, in evaluation mode and without gradients.

    Returns
    -------
    FunctionPolicy
        An agent for :func:`multispin_gym.evaluation.evaluate`.

    Raises
    ------
    TypeError
        If it cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> equal = as_policy(lambda seen: np.zeros((len(seen["drafting_speed"]), 2 * 4)))
    >>> equal.act({"drafting_speed": np.ones((3, 4), np.float32)}).shape
    (3, 8)
    """
    if not callable(function):
        raise TypeError(f"as_policy takes a function of observations, got {function!r}")
    return FunctionPolicy(function)


def _call_module(torch: Any, module: Any, observation: Mapping[str, Float32Array]) -> Any:
    device = next((parameter.device for parameter in module.parameters()), None)
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            return module({key: torch.tensor(values, device=device) for key, values in observation.items()})
    finally:
        module.train(training)


def _to_numpy(actions: Any) -> NDArray[Any]:
    detach = getattr(actions, "detach", None)
    return np.asarray(actions if detach is None else detach().cpu().numpy())

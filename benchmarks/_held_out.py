"""What is trained by other libraries, on cells that their training has not seen: the examples, and what they reach."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from multispin_gym.evaluation import as_policy, evaluate

EXAMPLES = Path(__file__).parents[1] / "examples"
CONTROLLERS = ("random", "uniform_best", "homogeneous", "heterogeneous")


def load_example(name: str) -> ModuleType:
    """Import an example by its file's name, as it is imported by its neighbours."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no example {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def played(policy: Any, scenario: str, num_users: int | None, episodes: int) -> list[float]:
    """Mean goodput of a policy in each held-out episode, token/s; a bare function is one of observations."""
    policy = policy if hasattr(policy, "predict") else as_policy(policy)
    # What ratios are taken to is computed once, with the controllers, and for certain.
    result = evaluate({"policy": policy}, scenario, num_users, episodes, reference="relaxation")
    found: list[float] = result.policies["policy"].goodput.tolist()
    return found


def play_controllers(scenario: str, num_users: int | None, episodes: int) -> dict[str, list[float]]:
    """The same of the controllers, and under ``optimum`` of the certified optimum."""
    result = evaluate(CONTROLLERS, scenario, num_users, episodes)
    goodput = {name: policy.goodput.tolist() for name, policy in result.policies.items()}
    return {**goodput, "optimum": result.reference_goodput.tolist()}


def reached(goodput: Sequence[float], optimum: Sequence[float]) -> dict[str, float]:
    """Mean goodput, token/s, and the ratio of the sums of goodput and optimum."""
    return {"goodput": float(np.mean(goodput)), "ratio": float(np.sum(goodput) / np.sum(optimum))}


def over_seeds(seeds: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    """Median, least and most of a number over seeds."""
    values = [found[name] for found in seeds.values()]
    return {"median": float(np.median(values)), "least": min(values), "most": max(values)}

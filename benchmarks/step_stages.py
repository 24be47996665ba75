"""Where the time of a step goes, stage by stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym

from multispin_gym.physics import users

MULTI = "multispin_gym/MultiSpin-v0"
# Steps between two looks at the clock: an episode of the default scenario and the step that resets it.
EPISODE = 101


def native(num_envs: int, num_users: int, **options: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    return gym.make_vec(
        MULTI, num_envs=num_envs, num_users=num_users, vectorization_mode="vector_entry_point", **options
    )


@contextmanager
def stopwatch(places: dict[str, tuple[Any, str]]) -> Iterator[dict[str, float]]:
    """Time functions by replacing them where they are looked up, inclusive of what they call."""
    spent = dict.fromkeys(places, 0.0)
    originals = {}

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            spent[stage] += time.process_time() - start
            return result

        return call

    for stage, (place, name) in places.items():
        originals[stage] = place.__dict__.get(name)
        setattr(place, name, timed(stage, getattr(place, name)))
    try:
        yield spent
    finally:
        for stage, (place, name) in places.items():
            if originals[stage] is None:
                delattr(place, name)
            else:
                setattr(place, name, originals[stage])


def measure_stages(seconds: float, num_envs: int, num_users: int, sampled: bool) -> dict[str, float]:
    """Shares of a step's time."""
    envs = native(num_envs, num_users, sampled=sampled)
    cell = envs.unwrapped.cell
    streams = sys.modules["multispin_gym.scenarios.episodes"].CellStreams
    codec = sys.modules["multispin_gym.envs.actions"].ActionCodec
    observations = sys.modules["multispin_gym.envs.observations"].ObservationCodec
    tokens = "sampled_tokens" if sampled else "mean_tokens"
    places: dict[str, tuple[Any, str]] = {
        "users and channels: random numbers": (streams, "_fill"),
        "users and channels: new episodes": (streams, "begin"),
        "action decoding": (codec, "decode_trusted"),
        "tokens": (users, tokens),
        "uplink": (type(cell.uplink), "quiet_rate"),
        "verification": (type(cell.verification), "round_time"),
        "observation": (observations, "encode"),
    }
    envs.reset(seed=0)
    actions = envs.action_space.sample()
    with stopwatch(places) as spent:
        for _ in range(20):
            envs.step(actions)
        spent.update(dict.fromkeys(spent, 0.0))
        start = time.process_time()
        while time.process_time() < start + 2 * seconds:
            for _ in range(EPISODE):
                envs.step(actions)
        total = time.process_time() - start
    shares = {stage: value / total for stage, value in spent.items()}
    # The first block of an episode is drawn while it begins; count it once.
    first = "users and channels: new episodes"
    blocks = -(-envs.unwrapped.num_rounds // envs.unwrapped._game._streams.block)
    shares[first] = max(0.0, shares[first] - shares["users and channels: random numbers"] / blocks)
    shares["everything else"] = 1.0 - sum(shares.values())
    return shares

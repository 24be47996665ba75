"""What of a scenario's clock is switched on: the arguments of environments in which time passes."""

from __future__ import annotations

import dataclasses
from os import PathLike
from typing import Any

from multispin_gym._validation import check_choice, shown
from multispin_gym.envs.arguments import AS_SCENARIO, SWITCHES
from multispin_gym.envs.game import Game
from multispin_gym.envs.variants import Variant
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.requests import ARRIVALS
from multispin_gym.scenarios.scenario import Scenario

# The clock of a scenario that says nothing of time: nothing is switched on.
_NO_CLOCK = Clock(episode_seconds=None, round_timeout=None)


def chosen_clock(scenario: Scenario, switches: dict[str, Any]) -> Clock:
    """Return a scenario's clock with some of its values replaced; a value ``"scenario"`` replaces nothing.

    ``arrivals`` None takes the requests away, and one of "poisson", "bursty" and "replaced" changes how they come.
    """
    clock = _NO_CLOCK if scenario.clock is None else scenario.clock
    given = {name: value for name, value in switches.items() if not isinstance(value, str) or value != AS_SCENARIO}
    requests: dict[str, Any] = {}
    if "load" in given:
        requests["load"] = given.pop("load")
    if "arrivals" in given:
        arrivals = given.pop("arrivals")
        if arrivals is None:
            if requests:
                raise ValueError(f"load must be left out with arrivals = None, got {shown(requests['load'])}")
            return dataclasses.replace(clock, **given, requests=None)
        requests["arrivals"] = check_choice("arrivals", arrivals, ARRIVALS)
    if requests:
        if clock.requests is None:
            name, value = next(iter(requests.items()))
            raise ValueError(
                f"{name} must be left out in a scenario without requests such as {scenario.name!r}, got {shown(value)}"
            )
        given["requests"] = dataclasses.replace(clock.requests, **requests)
    return dataclasses.replace(clock, **given)


def is_off(clock: Clock) -> bool:
    """Say whether nothing of a clock is switched on, so that rounds are those of the game without one."""
    ages = clock.coherence_time or clock.report_age or clock.report_noise_db
    decides = clock.cutoff or clock.admission
    ends = clock.episode_seconds is not None or clock.round_timeout is not None
    return not (ages or decides or ends or clock.hidden or clock.requests is not None)


def make_game(
    variant: Variant, scenario: str | PathLike[str] | Scenario | None, *, num_rows: int = 1, **arguments: Any
) -> Game:
    """Make the game of an environment: on a clock where the environment has one and it is not switched off."""
    if not variant.clock:
        return Game(variant, scenario, num_rows=num_rows, **arguments)
    from multispin_gym.envs.clock.game import ClockGame

    chosen = variant.scenario if scenario is None else scenario
    found = chosen if isinstance(chosen, Scenario) else load_scenario(chosen)
    max_time = arguments.pop("max_time", None)
    switches = {name: arguments.pop(name) for name in SWITCHES if name in arguments}
    if max_time is not None:
        if switches.get("episode_seconds", AS_SCENARIO) != AS_SCENARIO:
            raise ValueError("max_time means the same as episode_seconds: give one of them, not both")
        switches["episode_seconds"] = max_time
    clock = chosen_clock(found, switches)
    if is_off(clock):
        found = dataclasses.replace(found, clock=None)
        return Game(
            variant, found, num_rows=num_rows, reward=clock.reward, sampled=clock.sampled, max_time=None, **arguments
        )
    return ClockGame(variant, dataclasses.replace(found, clock=clock), clock, num_rows=num_rows, **arguments)

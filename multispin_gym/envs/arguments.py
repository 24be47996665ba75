"""What all environments are made with: named, typed and documented once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from multispin_gym._validation import nearest


class GameArguments(TypedDict, total=False):
    """The arguments of the game, besides the scenario; :data:`ARGUMENTS` says what they mean."""

    num_users: int | None
    num_rounds: int | None
    min_draft_length: int | None
    sampled: bool
    max_time: float | None
    reward: str
    optimum: bool | str
    weights: Sequence[float] | None


_DEFAULTS: dict[str, Any] = {
    "num_users": None,
    "num_rounds": None,
    "min_draft_length": None,
    "sampled": False,
    "max_time": None,
    "reward": "goodput",
    "optimum": False,
    "weights": None,
}

ARGUMENTS = """\
scenario
    A scenario, or the name or path of one; see :func:`multispin_gym.list_scenarios`. By default the environment's own.
num_users
    Number of users K; by default the scenario's.
num_rounds
    Rounds of an episode; by default the scenario's.
min_draft_length
    Least draft length, token; by default the scenario's. 0 lets users opt out: then plain decoding on the server, with
    no draft at all, is an action like any other.
sampled
    Whether tokens are sampled rather than expected.
max_time
    Seconds of play after which an episode ends, with the round that reaches them; the number of rounds is then
    not limited unless ``num_rounds`` is given.
reward
    ``"goodput"``, ``"ratio"`` (goodput over the round's optimum), ``"tokens"`` (which add up to the long-run
    goodput where episodes end after a time) or ``"proportional_fair"`` (the sum of the logarithms of the users'
    token rates).
optimum
    ``True`` or ``"bound"`` puts an upper bound on the round's goodput into info, ``"certificate"`` one within 1e-6
    of the best decision.
weights
    Weights of the users' tokens in the reward and the optimum, one for each user; all one by default.
render_mode
    What :meth:`render` does: with ``"ansi"`` it returns the round as text, with ``"rgb_array"`` as a picture, a uint8
    array of shape (720, 1280, 3), with ``"human"`` a window shows it after each reset and step; with None nothing.
    Pictures need Pillow and the window pygame: ``pip install 'multispin-gym[render]'``. Another mode warns.
"""

_MARK = "    {arguments}\n"
Env = TypeVar("Env", bound=type)


def documented(cls: Env) -> Env:
    """Put :data:`ARGUMENTS` where a class's docstring says ``{arguments}``, and its signature in full."""
    assert cls.__doc__ is not None
    lines = "".join(f"    {line}\n" if line else "\n" for line in ARGUMENTS.splitlines())
    cls.__doc__ = cls.__doc__.replace(_MARK, lines)
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    own = [p for name, p in signature.parameters.items() if name != "self" and p.kind != p.VAR_KEYWORD]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[name], annotation=kind)
        for name, kind in GameArguments.__annotations__.items()
    ]
    places = [p for p in own if p.kind != p.KEYWORD_ONLY]
    keywords = [p for p in own if p.kind == p.KEYWORD_ONLY]
    setattr(cls, "__signature__", inspect.Signature([*places, *shared, *keywords]))  # noqa: B010
    return cls


def check_arguments(cls: type, arguments: Mapping[str, Any]) -> None:
    """Refuse an unknown argument, pointing at the nearest that is known."""
    for name in arguments:
        if name not in _DEFAULTS:
            known = list(inspect.signature(cls).parameters)
            raise TypeError(
                f"{name} is not an argument of {cls.__name__}, which takes {', '.join(known)}.{nearest(name, known)}"
            )

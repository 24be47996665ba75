"""What all environments are made with: named, typed and documented once."""

from __future__ import annotations

import inspect
import re
import textwrap
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


class ClockArguments(GameArguments, total=False):
    """The arguments that environments with a clock take besides."""

    arrivals: str | None
    load: float | str
    coherence_time: float | str | None
    report_age: float | str
    report_noise_db: float | str
    cutoff: bool | str
    hidden: bool | str
    episode_seconds: float | str | None
    round_timeout: float | str | None
    length_known: bool | str
    fading_within_rounds: bool | str
    admission: bool | str


_KINDS: dict[str, Any] = {**GameArguments.__annotations__, **ClockArguments.__annotations__}
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

AS_SCENARIO = "scenario"
"""The value of a switch that is left as the scenario has it, as those are that are left out."""
SWITCHES = ("reward", "sampled", *(name for name in ClockArguments.__annotations__ if name not in _DEFAULTS))
"""The arguments that switch parts of a scenario's clock on and off."""

_GAME = """\
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
"""
_REWARD = """\
reward
    ``"goodput"``, ``"ratio"`` (goodput over the round's optimum), ``"tokens"`` (which add up to the long-run
    goodput where episodes end after a time) or ``"proportional_fair"`` (the sum of the logarithms of the users'
    token rates).
"""
_SHOWN = """\
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

_CLOCK = """\
arrivals
    How requests come: ``"poisson"``, ``"bursty"``, ``"replaced"`` (one that ends is replaced at once), or None: the
    same users stay and their answers never end. This and what follows are the scenario's where they are ``"scenario"``.
load
    Tokens that are asked for per second, as a share of the scenario's ``reference_goodput``.
coherence_time
    Seconds in which the correlation of a fade's amplitude falls to 1/e; None: fades are drawn anew each round.
report_age, report_noise_db
    Age of channel reports, s, and the standard deviation of their error, dB.
cutoff
    Whether the action has a cut-off, after which uploads are lost.
hidden
    Whether requests have acceptance rates of their own that are not observed.
episode_seconds
    Seconds of an episode, which ends with the first round that ends after them; None: ``num_rounds`` rounds.
    ``max_time`` means the same.
round_timeout
    A cut-off that no action can switch off, s; None: there is none.
length_known
    Whether it is observed how many tokens of a request remain.
fading_within_rounds
    Whether channels change while uploads last, not from round to round only; needs a coherence time and a time limit.
admission
    Whether the action can give requests up, and hold places empty while others wait.
"""

_CLOCK_REWARD = """\
reward
    What a round is paid: ``"tokens"`` delivered, ``"requests_on_time"``, ``"tokens_on_time"`` (all tokens of a request
    when it ends before its deadline), ``"guaranteed_rate"`` (tokens up to the scenario's ``guaranteed_rate`` times the
    round's latency), ``"goodput"`` (tokens delivered over the latency) or ``"proportional_fair"`` (the sum of the
    logarithms of the users' token rates, where a user without a token counts with half of one).
"""
ARGUMENTS = _GAME + _REWARD + _SHOWN
"""What the arguments of environments without a clock mean."""
CLOCK_ARGUMENTS = _GAME + _CLOCK_REWARD + _CLOCK + _SHOWN
"""What the arguments of environments with one mean."""

# From Python 3.13 on docstrings are kept without their indentation.
_MARK = re.compile(r"^( *)\{arguments\}\n", re.MULTILINE)
Env = TypeVar("Env", bound=type)


def documented(cls: Env) -> Env:
    """Put what the arguments mean where a class's docstring says ``{arguments}``, and its signature in full."""
    assert cls.__doc__ is not None
    text = CLOCK_ARGUMENTS if cls.variant.clock else ARGUMENTS  # type: ignore[attr-defined]
    cls.__doc__ = _MARK.sub(lambda mark: textwrap.indent(text, mark[1]), cls.__doc__)
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    own = [p for name, p in signature.parameters.items() if name != "self" and p.kind != p.VAR_KEYWORD]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_KINDS.get(name, Any))
        for name, default in _defaults(cls).items()
    ]
    places = [p for p in own if p.kind != p.KEYWORD_ONLY]
    keywords = [p for p in own if p.kind == p.KEYWORD_ONLY]
    setattr(cls, "__signature__", inspect.Signature([*places, *shared, *keywords]))  # noqa: B010
    return cls


def _defaults(cls: type) -> dict[str, Any]:
    return {**_DEFAULTS, **dict.fromkeys(SWITCHES, AS_SCENARIO)} if cls.variant.clock else _DEFAULTS  # type: ignore[attr-defined]


def check_arguments(cls: type, arguments: Mapping[str, Any]) -> None:
    """Refuse an unknown argument, pointing at the nearest that is known."""
    for name in arguments:
        if name not in _defaults(cls):
            known = list(inspect.signature(cls).parameters)
            raise TypeError(
                f"{name} is not an argument of {cls.__name__}, which takes {', '.join(known)}.{nearest(name, known)}"
            )

"""Time in a cell: how long episodes and rounds last, how channels and reports age, and what is rewarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from multispin_gym._validation import check_choice, check_flag, check_number, shown
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.verification import AffineVerification
from multispin_gym.scenarios.requests import Requests

REWARDS = (
    "goodput",
    "tokens",
    "proportional_fair",
    "guaranteed_rate",
    "requests_on_time",
    "tokens_on_time",
)
_OF_REQUESTS = ("requests_on_time", "tokens_on_time")
_FLAGS = ("cutoff", "hidden", "sampled", "length_known", "admission", "fading_within_rounds")
_OPTIONAL = ("episode_seconds", "round_timeout", "coherence_time", "guaranteed_rate")
_LEAST, _MOST = 1e-6, 1e9
_MOST_NOISE_DB = 100.0
# Coherence times that can be looked back, or that an upload can last; seconds of a verification.
_LONGEST_LOOK, _LONGEST_ROUND = 1000.0, 600.0
_LIMITS = {
    "episode_seconds": (_LEAST, _MOST),
    "round_timeout": (_LEAST, _MOST),
    "coherence_time": (0.0, _MOST),
    "report_age": (0.0, _MOST),
    "report_noise_db": (0.0, _MOST_NOISE_DB),
    "cutoff_min": (_LEAST, _MOST),
    "cutoff_max": (_LEAST, _MOST),
    "guaranteed_rate": (_LEAST, _MOST),
}


@dataclass(frozen=True, kw_only=True)
class Clock:
    """What happens in a cell as time passes.

    Parameters
    ----------
    episode_seconds
        Seconds of an episode; in [1e-6, 1e9]. None: it lasts the scenario's rounds.
    round_timeout
        Seconds after which a round goes on without the drafts that are not in, in [1e-6, 1e9]; None: it waits for all.
    coherence_time
        Seconds in which the correlation of a fade's complex amplitude falls to 1/e, in [0, 1e9]; 0 or None draws a
        fade afresh each round.
    fading_within_rounds
        Whether fades go on while uploads last; else a round's channels are those at its start. Needs ``coherence_time``
        above 0 and ``round_timeout``.
    report_age
        Age of the channel reports, s; in [0, 1e9].
    report_noise_db
        Standard deviation of the error of a channel report, dB; in [0, 100].
    cutoff
        Whether a decision also says when uploads are cut off.
    cutoff_min, cutoff_max
        Earliest and latest cut-off, s from the start of a round, the first below the second; in [1e-6, 1e9].
    hidden
        Whether the requests' own acceptance rates are hidden; needs ``sampled``.
    reward
        What a step is rewarded for: ``"goodput"``, ``"tokens"``, ``"proportional_fair"``, ``"guaranteed_rate"``,
        ``"requests_on_time"`` or ``"tokens_on_time"``; the last two need ``requests``, of which those without a
        deadline are on time whenever they end.
    guaranteed_rate
        Tokens per second of each user beyond which more is not rewarded, in [1e-6, 1e9]; needed by that reward.
    sampled
        Whether tokens are sampled, instead of expected.
    length_known
        Whether a request's length is known before it ends.
    admission
        Whether a decision also says which requests are given up, and which places are held empty while others wait;
        needs ``requests``.
    requests
        When requests come, how long they are, and by when they should end. None: the users stay, and their answers
        never end.

    Raises
    ------
    ValueError
        If a value is out of range, or a value that is needed is missing.
    TypeError
        If a value is of the wrong type.
    """

    episode_seconds: float | None
    round_timeout: float | None = 5.0
    coherence_time: float | None = None
    report_age: float = 0.0
    report_noise_db: float = 0.0
    cutoff: bool = False
    cutoff_min: float = 0.05
    cutoff_max: float = 5.0
    hidden: bool = False
    reward: Literal[
        "goodput", "tokens", "proportional_fair", "guaranteed_rate", "requests_on_time", "tokens_on_time"
    ] = "goodput"
    guaranteed_rate: float | None = None
    sampled: bool = False
    length_known: bool = True
    admission: bool = False
    fading_within_rounds: bool = False
    requests: Requests | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {name: check_flag(name, getattr(self, name)) for name in _FLAGS}
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                checked[name] = check_number(name, value, low=low, high=high)
        vars(self).update(checked)
        check_choice("reward", self.reward, REWARDS)
        if not isinstance(self.requests, Requests | None):
            raise TypeError(f"requests must be a Requests or None, got {shown(self.requests)}")
        if not self.cutoff_min < self.cutoff_max:
            raise ValueError(f"cutoff_min must lie below cutoff_max, {self.cutoff_max!r}, got {self.cutoff_min!r}")
        if self.hidden and not self.sampled:
            raise ValueError("hidden needs sampled = true: expected tokens would show what is hidden")
        for name in ("coherence_time", "round_timeout") if self.fading_within_rounds else ():
            if not getattr(self, name):
                raise ValueError(f"{name} must be above 0 with fading_within_rounds, got {getattr(self, name)!r}")
        if self.reward == "guaranteed_rate" and self.guaranteed_rate is None:
            raise ValueError("guaranteed_rate is missing: reward = 'guaranteed_rate' needs it")
        if self.requests is None:
            needing = [f"reward = {self.reward!r}"] if self.reward in _OF_REQUESTS else []
            needing += ["admission"] if self.admission else []
            if needing:
                raise ValueError(f"requests is missing: {needing[0]} needs it")


def check_coherence(clock: Clock | None, fading: Fading) -> None:
    """Refuse a fade that is to remember both the round before and the second before, or more than memory holds."""
    if clock is None or not clock.coherence_time:
        return
    if fading.correlation > 0.0:
        raise ValueError(
            f"fading.correlation must be 0 where clock.coherence_time is above 0, got {fading.correlation!r} and "
            f"{clock.coherence_time!r}"
        )

    # A look so far back, or so long an upload, that its fade would fill the memory.
    spans = {"report_age": clock.report_age}
    if clock.fading_within_rounds:
        spans["round_timeout"] = clock.round_timeout or 0.0
    for name, span in spans.items():
        if span > _LONGEST_LOOK * clock.coherence_time:
            raise ValueError(
                f"clock.{name} must be at most {_LONGEST_LOOK:g} times clock.coherence_time, which is "
                f"{clock.coherence_time!r}, got {span!r}"
            )


def check_round(clock: Clock | None, cell: Cell, num_users: int) -> None:
    """Refuse a server that takes longer for a round than time is looked at: requests arrive all the while."""
    if clock is None:
        return
    longest = np.full(num_users, float(cell.max_draft_length))
    seconds = float(cell.verification.round_time(longest))
    if not seconds <= _LONGEST_ROUND:
        affine = isinstance(cell.verification, AffineVerification)
        fields = "fixed, per_token and per_draft" if affine else "seconds"
        raise ValueError(
            f"cell.verification must take at most {_LONGEST_ROUND:g} s, by its {fields}, for drafts of "
            f"cell.max_draft_length from all users where there is a clock, got {seconds:g} s"
        )

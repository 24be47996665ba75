"""What users ask for: when requests come, how many tokens they want, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from multispin_gym._validation import FloatArray, check_array, check_choice, check_integer, check_list, check_number
from multispin_gym.scenarios.arrivals import ArrivalProcess, PoissonProcess, SwitchedProcess, fit_switched_process
from multispin_gym.scenarios.populations import check_range

ARRIVALS = ("poisson", "bursty", "replaced")
LONGEST_REQUEST = 1_000_000
_LEAST, _MOST = 1e-9, 1e9
_MOST_POINTS = 1000
_MOST_WAITING = 1000
# A round that lasts long goes through all that arrive in it.
_MOST_A_SECOND = 1000.0
_LEAST_VARIATION, _LARGEST_VARIATION = 1.0001, 1000.0
# Less of it would ask for phases far shorter than the gaps.
_LEAST_AUTOCORRELATION = 1e-3
_BURSTS = ("gap_variation", "count_autocorrelation", "count_window", "measured_rate")


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Requests of a cell: their arrivals, their lengths and their deadlines.

    Parameters
    ----------
    length_levels
        Levels of the quantiles in ``length_tokens``: increasing, the first 0 and the last 1; 2 to 1000 of them.
    length_tokens
        Quantiles of a request's length at these levels, tokens: whole numbers that do not fall, in [1, 1000000]. In
        between the quantiles are interpolated linearly, and what is drawn is rounded to whole tokens.
    arrivals
        ``"poisson"``; ``"bursty"``, a process whose intensity switches between two values; or ``"replaced"``: there are
        always as many requests as users, and one that ends is replaced at once by another of the same device, with a
        new task, length and acceptance rate.
    load
        Tokens that are asked for per second on average, as a share of ``reference_goodput``; in [1e-9, 1e9], and no
        more than 1,000 requests a second. Has no effect where requests are replaced.
    reference_goodput
        Tokens per second that the cell delivers where its users always have requests; in [1e-9, 1e9]. Needed unless
        requests are replaced.
    reference_time_per_token
        Seconds per token of a user in that cell, for deadlines; in [1e-9, 1e9]. Needed with ``slack``.
    slack
        Least and largest slack, in [1e-9, 1e9]: a deadline is the arrival, plus a uniform slack times the length times
        ``reference_time_per_token``. None: there are no deadlines.
    time_per_token_objective
        Most seconds per token, from the first token on, of a request that counts as on time, in [1e-9, 1e9], besides
        the deadline, if there is one. None: there is no such objective.
    gap_variation, count_autocorrelation, count_window, measured_rate
        What bursty arrivals have, all four needed for them and without effect elsewhere: the coefficient of variation
        of the gaps between arrivals, in [1.0001, 1000]; the correlation of the counts in two windows that follow each
        other, in [0.001, 1]; the length of these windows, s, and the arrivals per second of the trace in which the
        three were measured, both in [1e-9, 1e9]. The process is fitted to the trace on its own scale of time, and this
        is then stretched so that the mean rate is that of ``load``: the variation stays, and the windows become longer
        by ``measured_rate / rate``.
    queue_factor
        At most so many requests per user of the cell wait, further ones are refused; in [0, 1000].

    Raises
    ------
    ValueError
        If a value is out of range, a value that is needed is missing, or bursty arrivals cannot have these figures.
    TypeError
        If a value is of the wrong type.
    """

    length_levels: Sequence[float]
    length_tokens: Sequence[int]
    arrivals: Literal["poisson", "bursty", "replaced"] = "poisson"
    load: float = 0.9
    reference_goodput: float | None = None
    reference_time_per_token: float | None = None
    slack: tuple[float, float] | None = None
    time_per_token_objective: float | None = None
    gap_variation: float | None = None
    count_autocorrelation: float | None = None
    count_window: float | None = None
    measured_rate: float | None = None
    queue_factor: int = 4

    def __post_init__(self) -> None:
        check_choice("arrivals", self.arrivals, ARRIVALS)
        levels, tokens = _check_quantiles(self.length_levels, self.length_tokens)
        checked: dict[str, Any] = {
            "length_levels": levels,
            "length_tokens": tokens,
            "load": check_number("load", self.load, low=_LEAST, high=_MOST),
            "queue_factor": check_integer("queue_factor", self.queue_factor, low=0, high=_MOST_WAITING),
        }
        limits = {
            **dict.fromkeys(("reference_goodput", "reference_time_per_token"), (_LEAST, _MOST)),
            "time_per_token_objective": (_LEAST, _MOST),
            "gap_variation": (_LEAST_VARIATION, _LARGEST_VARIATION),
            "count_autocorrelation": (_LEAST_AUTOCORRELATION, 1.0),
            **dict.fromkeys(("count_window", "measured_rate"), (_LEAST, _MOST)),
        }
        for name, (low, high) in limits.items():
            if (value := getattr(self, name)) is not None:
                checked[name] = check_number(name, value, low=low, high=high)
        if self.slack is not None:
            checked["slack"] = check_range("slack", self.slack, low=_LEAST, high=_MOST)
        vars(self).update(checked)
        if self.arrivals != "replaced":
            self._need("reference_goodput", f"arrivals = {self.arrivals!r}")
            if self.rate > _MOST_A_SECOND:
                raise ValueError(
                    f"load must let at most {_MOST_A_SECOND:g} requests arrive per second, got {self.load!r}: "
                    f"{self.rate:g} requests of {self.mean_length:g} tokens on average"
                )
        if self.slack is not None:
            self._need("reference_time_per_token", "slack")
        if self.arrivals == "bursty":
            for name in _BURSTS:
                self._need(name, "arrivals = 'bursty'")
            self._fitted()

    def _need(self, name: str, what: str) -> None:
        if getattr(self, name) is None:
            raise ValueError(f"{name} is missing: {what} needs it")

    @cached_property
    def mean_length(self) -> float:
        """Mean length of what is drawn, tokens: whole numbers, rounded from the interpolated quantiles."""
        # The sum over n of the probability of at least n tokens, which the half before n rounds up to.
        more = np.arange(2, self.length_tokens[-1] + 1) - 0.5
        return 1.0 + float((1.0 - np.interp(more, self.length_tokens, self.length_levels)).sum())

    @property
    def rate(self) -> float:
        """Requests that arrive per second on average; 0 where they are replaced."""
        if self.arrivals == "replaced":
            return 0.0
        assert self.reference_goodput is not None
        return self.load * self.reference_goodput / self.mean_length

    @cached_property
    def process(self) -> ArrivalProcess | None:
        """The process of arrivals, in seconds; None where requests are replaced."""
        if self.arrivals == "replaced":
            return None
        return PoissonProcess(self.rate) if self.arrivals == "poisson" else self._fitted().stretched(self.rate)

    def _fitted(self) -> SwitchedProcess:
        """The process of bursty arrivals on the trace's own scale of time."""
        assert self.gap_variation is not None
        assert self.count_autocorrelation is not None
        assert self.count_window is not None
        assert self.measured_rate is not None
        return fit_switched_process(
            self.measured_rate, self.gap_variation, self.count_autocorrelation, self.count_window
        )

    def lengths(self, levels: FloatArray) -> FloatArray:
        """Turn uniform draws into lengths of requests.

        Parameters
        ----------
        levels
            Draws, uniform on [0, 1). Any shape.

        Returns
        -------
        numpy.ndarray
            Whole tokens, at least 1, of the same shape.
        """
        levels_of, tokens = self._quantiles
        return np.asarray(np.rint(np.interp(levels, levels_of, tokens)))

    @cached_property
    def _quantiles(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.length_levels), np.array(self.length_tokens, dtype=np.float64)


def _check_quantiles(levels: Any, tokens: Any) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Refuse points that are no inverse distribution of whole lengths."""
    for name, value in (("length_levels", levels), ("length_tokens", tokens)):
        check_list(name, value, kind="a list of at least two numbers", least=2)
        if len(value) > _MOST_POINTS:
            raise ValueError(f"{name} must have at most {_MOST_POINTS} entries, got {len(value)}")
    if len(levels) != len(tokens):
        raise ValueError(
            f"length_levels and length_tokens must have as many entries, got {len(levels)} and {len(tokens)}"
        )
    shares = check_array("length_levels", levels, low=0.0, high=1.0)
    lengths = check_array("length_tokens", tokens, low=1.0, high=LONGEST_REQUEST, whole=True)
    if shares.ndim != 1 or lengths.ndim != 1:
        raise TypeError("length_levels and length_tokens must be lists of numbers, got lists of lists")
    if not (shares[0] == 0.0 and shares[-1] == 1.0 and (np.diff(shares) > 0.0).all()):
        raise ValueError(f"length_levels must increase from 0 to 1, got {list(levels)}")
    if not (np.diff(lengths) >= 0.0).all():
        raise ValueError(f"length_tokens must not fall, got {list(tokens)}")
    return tuple(shares.tolist()), tuple(int(length) for length in lengths.tolist())

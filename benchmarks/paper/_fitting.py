"""Least squares over the printed values, and what it leaves undetermined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from _cells import Guess
from _experiments import Design, Scatter, scatter
from _printed import COMMON, PAIRS, PRINTED
from _surface import Surface
from scipy.optimize import least_squares
from scipy.stats import chi2

from multispin_gym._validation import FloatArray

# What is fitted, with units, and the range in which it is looked for.
LIMITS = {
    "snr_db": (8.0, 90.0),
    "time_llama2": (0.008, 0.06),
    "time_qwen35": (0.008, 0.06),
    "server_time": (0.002, 0.08),
    "share_6": (0.0, 1.0),
    "share_78": (0.0, 1.0),
}
PHYSICAL = tuple(name for name in LIMITS if not name.startswith("share"))
# Powers, dB, from which a search starts, and the share of a variance that is looked for.
_STARTS = ((12.0, 0.5), (20.0, 0.7), (32.0, 0.3), (60.0, 0.5))
FIGURES = (6, 7, 8)


@dataclass(frozen=True)
class Reading:
    """How the paper's figures are scored, and which slope of Fig. 5 is which.

    Shares of the variance between prompts for Fig. 6, and for Figs. 7 and 8: 0 is law A, 1 law B, None is fitted; with
    ``common`` the two are one.
    """

    name: str
    share_6: float | None
    share_78: float | None
    common: bool = False
    swapped: bool = False

    @property
    def free(self) -> tuple[str, ...]:
        """Names of what is fitted."""
        own = ("share_6",) if self.share_6 is None else ()
        later = ("share_78",) if self.share_78 is None and not self.common else ()
        return (*PHYSICAL, *own, *later)


def readings() -> tuple[Reading, ...]:
    """All readings that are tried."""
    base = (
        Reading("A in all figures", 0.0, 0.0),
        Reading("B in all figures", 1.0, 1.0),
        Reading("one share in all figures", None, None, common=True),
        Reading("A in Fig. 6, B in Figs. 7 and 8", 0.0, 1.0),
        Reading("B in Fig. 6, A in Figs. 7 and 8", 1.0, 0.0),
        Reading("A in Fig. 6, a share in Figs. 7 and 8", 0.0, None),
        Reading("a share of its own in each", None, None),
    )
    return base + tuple(replace(reading, swapped=True) for reading in base)


@dataclass(frozen=True, eq=False)
class Whitener:
    """The scatter of the printed values and of reading them: residuals are taken in its units."""

    scatter: Scatter
    tolerance: float

    @cached_property
    def reading(self) -> FloatArray:
        """Standard deviation of reading each value. Shape (values,)."""
        return np.array([value.reading_deviation(self.tolerance) for value in PRINTED])

    @cached_property
    def total(self) -> FloatArray:
        """Covariance of experiment and reading. Shape (values, values)."""
        return np.asarray(self.scatter.covariance + np.diag(self.reading**2))

    @cached_property
    def _root(self) -> FloatArray:
        return np.linalg.cholesky(self.total)

    def __call__(self, errors: FloatArray) -> FloatArray:
        """Turn errors of the logarithms, less their mean, into independent ones of variance one. Shape (values,)."""
        return np.linalg.solve(self._root, errors)

    def simulated(self, jacobian: FloatArray, cost: float, rng: np.random.Generator) -> float:
        """Probability of so large a sum of squares, from repetitions of the experiment: they are not quite Gaussian.

        Each is fitted again to first order, with the whitened derivatives of the values. Shape (values, free).
        """
        errors = self.scatter.errors - self.scatter.bias
        white = self((errors + self.reading * rng.standard_normal(errors.shape)).T)
        basis = np.linalg.qr(jacobian)[0]
        left = white - basis @ (basis.T @ white)
        return float(((left**2).sum(axis=0) >= cost).mean())


class Fit:
    """The least-squares problem of one reading."""

    def __init__(self, reading: Reading, surfaces: Mapping[str, Surface], printed: FloatArray) -> None:
        self.reading, self.surfaces, self.printed = reading, surfaces, printed

    def parameters(self, free: Mapping[str, float]) -> dict[str, float]:
        """Everything by name, the given shares included."""
        found = {"share_6": self.reading.share_6, "share_78": self.reading.share_78, **free}
        if self.reading.common:
            found["share_78"] = found["share_6"]
        return {name: float(found[name] or 0.0) for name in LIMITS}

    def predict(self, free: Mapping[str, float]) -> FloatArray:
        """Logarithms of the values that an endless experiment would print. Shape (values,)."""
        at = self.parameters(free)
        power, server_time = np.log(at["snr_db"]), np.log(at["server_time"])
        found = []
        for value in PRINTED:
            share, surface = at["share_6" if value.figure == 6 else "share_78"], self.surfaces[value.pair]
            time = np.log(at[f"time_{value.pair}"])
            logs = [
                surface.log_central(share, server_time)
                if scheme == "cen"
                else surface.log_goodput(share, (value.point, scheme), power, time)
                for scheme in (value.above, value.below)
                if scheme is not None
            ]
            found.append(logs[0] - (logs[1] if len(logs) > 1 else 0.0))
        return np.array(found)

    def solve(
        self, whitener: Whitener, start: Mapping[str, float] | None = None, held: Mapping[str, float] | None = None
    ) -> tuple[dict[str, float], float]:
        """Best free parameters, some of them held, and their sum of squares; from one start or from several."""
        held = held or {}
        names = [name for name in self.reading.free if name not in held]
        best: tuple[dict[str, float], float] | None = None
        for guess in [start] if start else self._starts():

            def errors(x: FloatArray) -> FloatArray:
                free = {**from_search(names, x), **held}
                return whitener(self.printed - self.predict(free) - whitener.scatter.bias)

            ends = np.array([to_search([name] * 2, LIMITS[name]) for name in names])
            x0 = np.clip(to_search(names, [guess[name] for name in names]), ends[:, 0], ends[:, 1])
            # Splines of means over cells: steps of a thousandth see their slope and not their ripples.
            found = least_squares(errors, x0, bounds=(ends[:, 0], ends[:, 1]), diff_step=1e-3, x_scale=0.2)
            if best is None or 2.0 * found.cost < best[1]:
                best = {**from_search(names, found.x), **held}, float(2.0 * found.cost)
        assert best is not None
        return best

    def _starts(self) -> list[dict[str, float]]:
        return [
            {"snr_db": power, "time_llama2": 0.02, "time_qwen35": 0.03, "server_time": 0.016}
            | {"share_6": share, "share_78": share}
            for power, share in _STARTS
        ]

    def refined(self, tolerance: float, design: Design, rounds: int = 2) -> tuple[dict[str, float], float, Whitener]:
        """Fit with the scatter simulated at the fit itself, found by repetition."""
        at = {"snr_db": 20.0, "time_llama2": 0.02, "time_qwen35": 0.036, "server_time": 0.016}
        at |= {"share_6": 0.5, "share_78": 0.5}
        free, cost = at, np.inf
        for turn in range(rounds):
            whitener = self.whitener(free, tolerance, design)
            free, cost = self.solve(whitener, free if turn else None)
        return free, cost, whitener

    def whitener(self, free: Mapping[str, float], tolerance: float, design: Design) -> Whitener:
        """Simulate the scatter at some parameters."""
        at = self.parameters(free)
        guesses = {pair: Guess(at["snr_db"], at[f"time_{pair}"], self.reading.swapped) for pair in PAIRS}
        shares = {6: at["share_6"], 7: at["share_78"], 8: at["share_78"]}
        return Whitener(scatter(guesses, at["server_time"], shares, design), tolerance)

    def jacobian(self, free: Mapping[str, float], whitener: Whitener) -> FloatArray:
        """Whitened derivatives of the values by what is searched. Shape (values, free)."""
        names = list(self.reading.free)
        x = to_search(names, [free[name] for name in names])
        columns = []
        for index in range(len(names)):
            step = np.zeros(len(names))
            step[index] = 0.01
            ends = [self.predict(from_search(names, x + side * step)) for side in (1.0, -1.0)]
            columns.append(whitener(ends[0] - ends[1]) / 0.02)
        return np.stack(columns, axis=-1)

    def directions(self, free: Mapping[str, float], whitener: Whitener) -> dict[str, Any]:
        """Eigenvectors of the curvature, in logarithms (shares as they are), with the deviation along each.

        A large deviation is a direction that the printed values leave open.
        """
        names, jacobian = list(self.reading.free), self.jacobian(free, whitener)
        values, vectors = np.linalg.eigh(jacobian.T @ jacobian)
        deviation = 1.0 / np.sqrt(np.maximum(values, 1e-12))
        covariance = vectors @ np.diag(deviation**2) @ vectors.T
        return {
            "names": names,
            "deviation": deviation.tolist(),
            "vectors": vectors.T.tolist(),
            "own_deviation": dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True)),
        }

    def profile(self, name: str, values: Sequence[float], whitener: Whitener, best: Mapping[str, float]) -> list[float]:
        """Least sum of squares at each value of one parameter, the others fitted, walking away from the best fit."""
        costs = dict.fromkeys(values, np.inf)
        for side in (
            [value for value in values if value >= best[name]],
            [value for value in reversed(values) if value < best[name]],
        ):
            near = dict(best)
            for value in side:
                near, costs[value] = self.solve(whitener, near, {name: value})
        return list(costs.values())


def to_search(names: Sequence[str], values: Sequence[float]) -> FloatArray:
    """Parameters as they are searched: logarithms, shares as they are."""
    return np.array([v if n.startswith("share") else np.log(v) for n, v in zip(names, values, strict=True)])


def from_search(names: Sequence[str], x: FloatArray) -> dict[str, float]:
    """Parameters by name from what is searched."""
    pairs = zip(names, x, strict=True)
    return {n: float(np.clip(v, 0.0, 1.0) if n.startswith("share") else np.exp(v)) for n, v in pairs}


def rejection(cost: float, num_free: int) -> tuple[int, float]:
    """Degrees of freedom, and the probability of so large a sum of squares if the reading is right."""
    freedom = len(PRINTED) - num_free
    return freedom, float(chi2.sf(cost, freedom))


def common_point(fit: Fit, free: Mapping[str, float], whitener: Whitener) -> dict[str, Any]:
    """Fig. 6's printed goodput against what Fig. 7's scoring gives at the point that both show.

    ``z`` is in deviations of a mean of ten draws and of reading; the parameters are taken as known.
    """
    at, found = fit.parameters(free), {}
    for index, value in enumerate(PRINTED):
        if value.below is None:
            time = np.log(at[f"time_{value.pair}"])
            log = fit.surfaces[value.pair].log_goodput(at["share_78"], (COMMON, "hete"), np.log(at["snr_db"]), time)
            deviation = float(np.sqrt(whitener.total[index, index]))
            z = (fit.printed[index] - log - whitener.scatter.bias[index]) / deviation
            found[value.pair] = {"fig7": float(np.exp(log)), "deviation": deviation, "z": float(z)}
    total = sum(entry["z"] ** 2 for entry in found.values())
    return {**found, "chi2": total, "p": float(chi2.sf(total, len(found)))}

"""What the paper prints: the figures' points, their values, and how well we can read them."""

from __future__ import annotations

import math
from dataclasses import dataclass

PAIRS = {"llama2": "Llama-2", "qwen35": "Qwen3.5"}
PRESETS = {"llama2": "paper_llama2", "qwen35": "paper_qwen35"}


@dataclass(frozen=True)
class Point:
    """Where a figure's value is taken: users, and band in Hz."""

    num_users: int = 20
    bandwidth: float = 10e6


COMMON = Point()
NARROW = Point(bandwidth=5e6)
FEW, MANY = Point(num_users=10), Point(num_users=24)


@dataclass(frozen=True)
class Printed:
    """A printed value: a goodput, token/s, or the ratio of two goodputs at one point.

    ``half`` is half the step to which it is printed; ``about`` says that the paper calls it about so much.
    """

    name: str
    pair: str
    figure: int
    point: Point
    above: str
    below: str | None
    value: float
    half: float
    about: bool
    text: str

    @property
    def key(self) -> str:
        """Name with the pair."""
        return f"{self.pair}: {self.name}"

    def reading_deviation(self, tolerance: float) -> float:
        """Relative standard deviation of reading the value: its rounding, and the tolerance where it is about."""
        rounding = self.half / math.sqrt(3.0) / self.value
        return math.hypot(rounding, tolerance if self.about else 0.0)


PRINTED = (
    Printed("Hete, token/s", "llama2", 6, COMMON, "hete", None, 145.0, 0.5, True, "about 145"),
    Printed("Hete over Cen-SPIN", "llama2", 6, COMMON, "hete", "cen", 2.5, 0.05, False, "2.5 x"),
    Printed("Hete over P2P-SPIN", "llama2", 6, COMMON, "hete", "p2p", 4.6, 0.05, False, "4.6 x"),
    Printed("Hete over Fixed, 5 MHz", "llama2", 7, NARROW, "hete", "fixed", 1.88, 0.005, True, "about +88 %"),
    Printed("Hete over Fixed, K = 10", "llama2", 8, FEW, "hete", "fixed", 1.21, 0.005, False, "+21 %"),
    Printed("Hete over Fixed, K = 24", "llama2", 8, MANY, "hete", "fixed", 1.67, 0.005, False, "+67 %"),
    Printed("Hete, token/s", "qwen35", 6, COMMON, "hete", None, 153.0, 0.5, True, "about 153"),
    Printed("Hete over Cen-SPIN", "qwen35", 6, COMMON, "hete", "cen", 3.0, 0.25, True, "about 3 x"),
    Printed("Hete over Fixed, 5 MHz", "qwen35", 7, NARROW, "hete", "fixed", 1.88, 0.005, True, "about +88 %"),
    Printed("Hete over Fixed, K = 10", "qwen35", 8, FEW, "hete", "fixed", 1.29, 0.005, False, "+29 %"),
    Printed("Hete over Fixed, K = 24", "qwen35", 8, MANY, "hete", "fixed", 1.825, 0.025, True, "over +80 %"),
)

# First and last tick of the goodput axes, token/s: bounds on what the curves show.
AXES = {("llama2", 7): (100.0, 220.0), ("qwen35", 7): (100.0, 240.0), ("qwen35", 3): (80.0, 200.0)}
ORDER_POINTS = (NARROW, COMMON, Point(bandwidth=20e6), FEW, MANY)


def point_text(point: Point) -> str:
    """Write a point."""
    return f"K = {point.num_users}, {point.bandwidth / 1e6:g} MHz"

"""The part of a picture that has a time axis: drafting, uploads and waits, and the server's verification."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.physics.rounds import RoundOutcome
from multispin_gym.rendering.canvas import Canvas, text_width
from multispin_gym.rendering.layout import AXIS, HEADINGS, RIGHT, TOP, Layout, round_step
from multispin_gym.rendering.theme import Colour, Theme


@dataclass(frozen=True)
class Times:
    """When things happen in a round, s from its start, and where that lies on the axis.

    Parameters
    ----------
    drafted, arrived
        When each user has drafted, and when its upload is in. Shape (K,).
    begun, ended
        When verification begins and ends; infinite where an upload never ends.
    horizon
        Length of the axis.
    last
        Whether each user is the one, or one of those, that the server waits for. Shape (K,).
    """

    drafted: FloatArray
    arrived: FloatArray
    begun: float
    ended: float
    horizon: float
    last: NDArray[np.bool_]

    @classmethod
    def of(cls, outcome: RoundOutcome, taking_part: NDArray[np.bool_]) -> Times:
        """Read them from an outcome; those who take no part keep nobody waiting. Shapes: (K,)."""
        drafted = outcome.drafting_time
        arrived = drafted + outcome.upload_time
        ended = float(outcome.latency)
        waited = float(outcome.verification_time)
        waited += 0.0 if outcome.downlink_time is None else float(outcome.downlink_time)
        begun = ended if math.isinf(ended) else max(0.0, ended - waited)
        longest = ended if math.isfinite(ended) else float(drafted.max()) + waited
        horizon = longest if longest > 0.0 else 1.0
        latest = float(arrived[taking_part].max(initial=0.0))
        # Those who arrive within the width of a line of each other are equally late, unless most do.
        late = taking_part & (arrived > 0.0) & (arrived >= latest - (1e-3 * horizon if math.isfinite(latest) else 0.0))
        if 2 * late.sum() > taking_part.sum():
            late = np.arange(late.size) == np.argmax(np.where(late, arrived, -1.0))
        return cls(drafted, arrived, begun, ended, horizon, late)

    def place(self, seconds: float) -> float:
        """Place of a moment on the axis, pixels from the left; what comes later than it ends lies at its end."""
        return AXIS + (RIGHT - AXIS) * min(1.0, seconds / self.horizon)


def time_text(seconds: float) -> str:
    """Write a time as readers say it."""
    if math.isinf(seconds):
        return "never"
    return f"{seconds:.2f} s" if seconds >= 10.0 else f"{1e3 * seconds:.1f} ms"


def draw_axis(canvas: Canvas, layout: Layout, times: Times) -> None:
    """Draw lines at round times, the area of the verification, and the moment at which it begins."""
    theme, bottom = canvas.theme, layout.bottom
    begun, ended = times.place(times.begun), times.place(times.ended)
    canvas.hatch(begun, TOP, ended, bottom, "steep", *_faint(theme))
    unit, scale = ("s", 1.0) if times.horizon >= 10.0 else ("ms", 1e3)
    step = round_step(scale * times.horizon)
    for index in range(int(scale * times.horizon / step) + 1):
        x = times.place(index * step / scale)
        canvas.fill(x, TOP - 4, x + 1, bottom, theme.line)
        label = f"{index * step:g} {unit}"
        canvas.text(min(x, RIGHT - 0.5 * text_width(label, 13)), HEADINGS, label, 13, theme.muted, "mm")
    if math.isfinite(times.begun):
        canvas.fill(begun - 1, TOP - 4, begun + 1, bottom + 4, theme.ink)


def _faint(theme: Theme) -> tuple[Colour, Colour]:
    """Two faint tones of the verification's colour."""

    def mixed(part: float) -> Colour:
        pairs = zip(theme.verification, theme.background, strict=True)
        red, green, blue = (round(part * ink + (1.0 - part) * ground) for ink, ground in pairs)
        return red, green, blue

    return mixed(0.12), mixed(0.3)


def draw_user(canvas: Canvas, layout: Layout, times: Times, user: int, lost: bool) -> None:
    """Draw a user's drafting, upload and wait."""
    theme, middle, half = canvas.theme, layout.middle(user), layout.half
    top, bottom = middle - half, middle + half
    start = times.place(0.0)
    drafted = times.place(float(times.drafted[user]))
    arrived = times.place(min(float(times.arrived[user]), times.begun))
    begun = times.place(times.begun)
    canvas.hatch(start, top, min(drafted, begun), bottom, "diagonal", theme.drafting, theme.background)
    if lost:
        canvas.hatch(drafted, top, begun, bottom, "crossed", theme.background, theme.lost)
        _note(canvas, layout, begun, middle, "upload lost", theme.lost)
        return
    canvas.fill(drafted, top, arrived, bottom, theme.upload)
    shrunk = 0.45 * half
    canvas.hatch(arrived, middle - shrunk, begun - 1, middle + shrunk, "dots", theme.background, theme.waiting)
    if times.last[user]:
        _mark_last(canvas, arrived, middle, half)
    if math.isinf(times.arrived[user]):
        _note(canvas, layout, begun, middle, "never ends", theme.ink)


def _note(canvas: Canvas, layout: Layout, place: float, middle: float, text: str, colour: Colour) -> None:
    """Write to the right of a place, or where there is no room, to its left; on a ground of its own."""
    size = layout.text_size
    if not size:
        return
    width = text_width(text, size) + 12.0
    left = place + 2.0 if place + 2.0 + width <= RIGHT else place - 2.0 - width
    reach = min(layout.half, 0.7 * size)
    canvas.fill(left, middle - reach, left + width, middle + reach, canvas.theme.background)
    canvas.text(left + 6.0, middle, text, size, colour)


def _mark_last(canvas: Canvas, x: float, middle: float, half: float) -> None:
    """Point at the end of the upload that the server waits for: an arrow in a colour, and an edge, of its own."""
    theme, size = canvas.theme, max(3.0, min(half, 12.0))
    canvas.fill(x - 3, middle - half, x + 1, middle + half, theme.last)
    points = [(x + 1, middle), (x + 1 + 1.3 * size, middle - size), (x + 1 + 1.3 * size, middle + size)]
    canvas.polygon(points, theme.last)


def draw_server(canvas: Canvas, layout: Layout, times: Times, seconds: float) -> None:
    """Draw the server's verification below the users."""
    theme, middle = canvas.theme, layout.server
    begun, ended = times.place(times.begun), times.place(times.ended)
    canvas.hatch(begun, middle - 9, ended, middle + 9, "steep", theme.verification, theme.background)
    text = f"verification {time_text(seconds)}"
    width = text_width(text, 14) + 12
    if begun - width >= AXIS:
        canvas.text(begun - 8, middle, text, 14, theme.ink, "rm")
    else:
        canvas.fill(RIGHT - width, middle - 9, RIGHT, middle + 9, theme.background)
        canvas.text(RIGHT - 4, middle, text, 14, theme.ink, "rm")

"""Where the parts of a picture lie, and the table of users that all pictures begin with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multispin_gym.physics.users import Users
from multispin_gym.rendering.canvas import WIDTH, Canvas, text_width
from multispin_gym.rendering.theme import Colour

LEFT, RIGHT = 28, WIDTH - 28
TOP, HEADINGS = 110, 96
# Right edges of the table's columns.
_COLUMNS = {"user": 58, "accept": 116, "token/s": 182, "gain dB": 250}
SHARES = 312
TOKENS, AXIS = 332, 512
_LEGEND, _SERVER = 702, 24
_SMALLEST_TEXT = 9


@dataclass(frozen=True)
class Layout:
    """Places that depend on the number of users.

    Parameters
    ----------
    num_users
        Number of users K.
    whole
        Whether rows reach down to the legend: there is neither a server nor a band to show.
    """

    num_users: int
    whole: bool = False

    @property
    def band(self) -> tuple[int, int]:
        """Upper and lower edge of the bar of the band: the taller, the more room few users leave."""
        return 684 - 32 - 5 * max(0, 12 - self.num_users), 684

    @property
    def bottom(self) -> int:
        """Lower edge of the users' rows."""
        return 684 if self.whole else self.band[0] - _SERVER - 14

    @property
    def pitch(self) -> float:
        """Height of a user's row."""
        return (self.bottom - TOP) / self.num_users

    @property
    def text_size(self) -> int:
        """Size of the text in a row; 0 where none is legible."""
        size = min(17, round(0.86 * self.pitch))
        return size if size >= _SMALLEST_TEXT else 0

    @property
    def half(self) -> float:
        """Half the height of a bar."""
        return max(0.5, min(0.36 * self.pitch, 44.0))

    def middle(self, user: int) -> float:
        """Height of the middle of a user's row."""
        return TOP + (user + 0.5) * self.pitch

    @property
    def server(self) -> float:
        """Height of the middle of the server's row."""
        return self.bottom + 0.5 * _SERVER + 2


def round_step(length: float, most: float = 6.0) -> float:
    """Return 1, 2 or 5 times a power of ten: the least of which an axis of this length holds at most so many."""
    step = 10.0 ** math.floor(math.log10(length / 2.0))
    return next(step * factor for factor in (1, 2, 5, 10) if length / (step * factor) <= most)


def write_title(canvas: Canvas, title: str) -> None:
    """Write what the picture shows."""
    canvas.text(LEFT, 26, "MultiSpin", 15, canvas.theme.muted)
    canvas.text(LEFT, 53, title, 25, canvas.theme.ink)


def write_table(canvas: Canvas, layout: Layout, users: Users, present: NDArray[np.bool_]) -> None:
    """Write who the users are: number, acceptance rate, drafting speed and channel gain. Shapes: (K,) each."""
    theme, size = canvas.theme, layout.text_size
    for user in range(1, layout.num_users, 2):
        top = TOP + user * layout.pitch
        canvas.fill(LEFT - 10, top, RIGHT + 10, top + layout.pitch, theme.panel)
    for heading, right in _COLUMNS.items():
        canvas.text(right, HEADINGS, heading, 13, theme.muted, "rm")
    if not size:
        return
    gains = 10.0 * np.log10(users.channel_gain)
    rows = zip(users.acceptance_rate.tolist(), users.drafting_speed.tolist(), gains.tolist(), strict=True)
    for user, (acceptance, speed, gain) in enumerate(rows):
        texts = (str(user + 1), f"{acceptance:.2f}", f"{speed:.0f}", f"{gain:.0f}")
        ink = theme.ink if present[user] else theme.muted
        # Nothing is known of a user who is absent.
        for text, right in zip(texts if present[user] else texts[:1], _COLUMNS.values(), strict=False):
            canvas.text(right, layout.middle(user), text, size, ink, "rm")


def write_legend(canvas: Canvas, entries: list[tuple[str, str, Colour, Colour]]) -> None:
    """Name the marks: a text, and the hatching, ground and stroke that :meth:`Canvas.hatch` takes."""
    x = float(LEFT)
    for text, kind, ground, stroke in entries:
        if kind == "hollow":
            canvas.frame_around(x, _LEGEND - 7, x + 26, _LEGEND + 7, stroke)
        elif kind == "diamond":
            canvas.diamond(x + 17, _LEGEND, 7, 9, stroke)
        else:
            canvas.hatch(x, _LEGEND - 7, x + 26, _LEGEND + 7, kind, ground, stroke)
        canvas.text(x + 33, _LEGEND, text, 14, canvas.theme.muted)
        x += 33 + 24 + text_width(text, 14)

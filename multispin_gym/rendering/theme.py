"""Colours of the pictures: Okabe and Ito's palette, which colour-blind readers can tell apart, on light and on dark.

No meaning hangs on a hue alone: what stands side by side differs in luminance, in its hatching or in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """The colours of a picture, red, green and blue from 0 to 255."""

    background: Colour
    panel: Colour
    ink: Colour
    muted: Colour
    line: Colour
    drafting: Colour
    upload: Colour
    waiting: Colour
    verification: Colour
    accepted: Colour
    last: Colour
    lost: Colour
    on_upload: Colour = (255, 255, 255)


LIGHT = Theme(
    background=(255, 255, 255),
    panel=(246, 247, 249),
    ink=(24, 28, 34),
    muted=(92, 102, 114),
    line=(219, 224, 230),
    drafting=(86, 180, 233),
    upload=(0, 114, 178),
    waiting=(150, 160, 171),
    verification=(230, 159, 0),
    accepted=(0, 158, 115),
    last=(213, 94, 0),
    lost=(120, 40, 90),
)
DARK = Theme(
    background=(18, 21, 26),
    panel=(26, 31, 38),
    ink=(238, 241, 245),
    muted=(158, 170, 184),
    line=(52, 60, 70),
    drafting=(120, 200, 245),
    upload=(0, 114, 178),
    waiting=(146, 158, 172),
    verification=(230, 159, 0),
    accepted=(0, 178, 130),
    last=(213, 94, 0),
    lost=(204, 121, 167),
)

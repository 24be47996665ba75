"""The sheet that pictures are drawn on: rectangles, hatchings and text, over Pillow."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym.rendering._optional import load
from multispin_gym.rendering.theme import Colour, Theme

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT = 1280, 720
Frame = NDArray[np.uint8]


@lru_cache(maxsize=32)
def _font(size: int) -> Any:
    return load("PIL.ImageFont").load_default(size)


@lru_cache(maxsize=4096)
def _written(text: str, size: int, anchor: str) -> tuple[Image, int, int]:
    """Return a text as a mask, and where it lies beside its anchor: most texts come back in the next picture."""
    font = _font(size)
    left, top, right, bottom = font.getbbox(text, anchor=anchor)
    mask = load("PIL.Image").new("L", (max(1, int(right - left) + 1), max(1, int(bottom - top) + 1)))
    load("PIL.ImageDraw").Draw(mask).text((-left, -top), text, fill=255, font=font, anchor=anchor)
    return mask, int(left), int(top)


@lru_cache(maxsize=16)
def _hatching(kind: str, ground: Colour, stroke: Colour) -> Image:
    """Return a sheet full of a hatching, from which pieces are cut."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    marked = {
        "diagonal": (x + y) % 7 < 2,
        "dots": (x % 6 < 2) & ((y + 3 * (x // 6 % 2)) % 6 < 2),
        "crossed": ((x + y) % 8 < 2) | ((x - y) % 8 < 2),
        "steep": (2 * x - y) % 14 < 3,
        "plain": x + y < 0,
    }[kind]
    pixels = np.where(marked[..., None], np.array(stroke, np.uint8), np.array(ground, np.uint8))
    sheet: Image = load("PIL.Image").fromarray(pixels)
    return sheet


def text_width(text: str, size: int) -> int:
    """Width of a text in pixels."""
    return _written(text, size, "lm")[0].width


class Canvas:
    """A sheet of 1280 x 720 pixels; places are pixels from its upper left corner.

    Parameters
    ----------
    theme
        Its colours.
    """

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self._image: Image = load("PIL.Image").new("RGB", (WIDTH, HEIGHT), theme.background)
        self._draw = load("PIL.ImageDraw").Draw(self._image)

    def frame(self) -> Frame:
        """Return the picture. Shape (720, 1280, 3)."""
        return np.array(self._image, dtype=np.uint8)

    def fill(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle, its right and lower edges left out."""
        left, top, right, bottom = round(left), round(top), round(right), round(bottom)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

    def hatch(
        self, left: float, top: float, right: float, bottom: float, kind: str, ground: Colour, stroke: Colour
    ) -> None:
        """Fill a rectangle with a hatching."""
        box = (round(left), round(top), min(round(right), WIDTH), min(round(bottom), HEIGHT))
        if box[2] > box[0] and box[3] > box[1]:
            self._image.paste(_hatching(kind, ground, stroke).crop(box), box)

    def frame_around(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Draw the outline of a rectangle, one pixel wide."""
        left, top, right, bottom = round(left), round(top), round(right), round(bottom)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), outline=colour)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(points, fill=colour)

    def diamond(self, x: float, y: float, across: float, up: float, colour: Colour) -> None:
        """Fill a diamond, given half its width and half its height."""
        self.polygon([(x - across, y), (x, y - up), (x + across, y), (x, y + up)], colour)

    def text(self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str = "lm") -> None:
        """Write a text; the anchor is Pillow's: left, middle or right, and top, middle, baseline or bottom."""
        if text:
            mask, left, top = _written(text, size, anchor)
            self._image.paste(colour, (round(x) + left, round(y) + top), mask)

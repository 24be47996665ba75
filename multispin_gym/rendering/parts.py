"""Parts of a round's picture: its goodput, the tokens, the band and the legend."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.physics.rounds import Decision, RoundOutcome
from multispin_gym.rendering.canvas import Canvas, text_width
from multispin_gym.rendering.layout import AXIS, LEFT, RIGHT, SHARES, TOKENS, Layout, write_legend
from multispin_gym.rendering.times import time_text

_GAUGE = (720, 960)


def write_goodput(canvas: Canvas, outcome: RoundOutcome, optimum: float | None, value: float | None) -> None:
    """Write goodput and latency, and beside them a gauge of how near the optimum that is."""
    theme, goodput = canvas.theme, float(outcome.goodput)
    canvas.text(RIGHT, 32, "token/s", 16, theme.muted, "rm")
    canvas.text(RIGHT - text_width("token/s", 16) - 8, 28, f"{goodput:.1f}", 36, theme.ink, "rm")
    account = f"{float(outcome.tokens.sum()):.2f} tokens in {time_text(float(outcome.latency))}"
    canvas.text(RIGHT, 64, account, 15, theme.muted, "rm")
    if optimum is None or math.isnan(optimum):
        return
    left, right = _GAUGE
    ratio = (goodput if value is None else value) / optimum if optimum > 0.0 else 1.0
    canvas.text(left, 26, f"{ratio:.1%}", 20, theme.ink)
    canvas.text(right, 27, f"of {optimum:.1f} token/s", 15, theme.muted, "rm")
    canvas.fill(left, 44, right, 56, theme.line)
    canvas.fill(left, 44, left + (right - left) * min(1.0, max(0.0, ratio)), 56, theme.accepted)
    canvas.text(left, 67, "of the optimum", 13, theme.muted)


def room_for(length: int) -> int:
    """Number of cells that a row of tokens has room for: a multiple of four, so that it seldom changes."""
    return max(8, -(-length // 4) * 4)


def draw_tokens(
    canvas: Canvas, layout: Layout, user: int, decision: Decision, outcome: RoundOutcome, most: int
) -> None:
    """Draw a cell for each drafted token, filled as far as they are accepted, and one for the server's own."""
    theme, middle, half = canvas.theme, layout.middle(user), min(layout.half, 15.0)
    length, gained = int(decision.draft_lengths[user]), float(outcome.tokens[user])
    accepted = min(max(gained - 1.0, 0.0), float(length))
    room = AXIS - TOKENS - 54
    width = min(13.0, room / (most + 1))
    gap = 2 if width >= 6.0 else 1 if width >= 3.0 else 0
    for index in range(length):
        left = TOKENS + index * width
        right = left + width - gap
        full = left + (right - left) * min(1.0, accepted - index)
        canvas.fill(left, middle - half, full, middle + half, theme.accepted)
        canvas.frame_around(left, middle - half, right, middle + half, theme.muted)
    if gained > 0.0:
        reach = 0.5 * (width - gap)
        canvas.diamond(TOKENS + length * width + reach, middle - 0.5, reach, min(half, 9.0), theme.verification)
    if layout.text_size:
        number = f"{gained:.0f}" if gained.is_integer() else f"{gained:.2f}"
        canvas.text(AXIS - 16, middle, number, layout.text_size, theme.ink, "rm")
        share = float(decision.bandwidth_shares[user])
        canvas.text(SHARES, middle, f"{100.0 * share:.1f}%", layout.text_size, theme.ink, "rm")


def write_total(canvas: Canvas, layout: Layout, outcome: RoundOutcome) -> None:
    """Write how many tokens the round gave in all."""
    total = float(outcome.tokens.sum())
    text = f"{total:.0f}" if total.is_integer() else f"{total:.2f}"
    canvas.text(LEFT, layout.server, "server", 14, canvas.theme.ink)
    canvas.text(AXIS - 16, layout.server, text, 14, canvas.theme.ink, "rm")


def draw_band(
    canvas: Canvas, layout: Layout, shares: FloatArray, last: NDArray[np.bool_], late: NDArray[np.bool_]
) -> None:
    """Cut a bar into the users' shares, in their order; what nobody has stays empty."""
    theme, (top, bottom) = canvas.theme, layout.band
    middle, start = 0.5 * (top + bottom), 90
    canvas.text(LEFT, middle, "band", 14, theme.ink)
    edges = np.rint(start + (RIGHT - start) * np.minimum(np.cumsum([0.0, *shares]), 1.0)).astype(np.int64).tolist()
    canvas.hatch(edges[-1], top, RIGHT, bottom, "dots", theme.background, theme.waiting)
    for user, (left, right) in enumerate(itertools.pairwise(edges)):
        if late[user]:
            canvas.hatch(left, top, right - 1, bottom, "crossed", theme.background, theme.lost)
        else:
            canvas.fill(left, top, right - 1, bottom, theme.upload)
        if last[user]:
            canvas.fill(left, bottom - 6, right - 1, bottom, theme.last)
        label, centre = str(user + 1), 0.5 * (left + right)
        width = text_width(label, 13) + 4
        if right - left > width + 1:
            if late[user]:
                canvas.fill(centre - 0.5 * width, middle - 10, centre + 0.5 * width, middle + 8, theme.background)
            canvas.text(centre, middle - 2, label, 13, theme.ink if late[user] else theme.on_upload, "mm")


def write_round_legend(canvas: Canvas, any_lost: bool) -> None:
    """Name the marks of a round."""
    theme = canvas.theme
    entries = [
        ("drafting", "diagonal", theme.drafting, theme.background),
        ("upload", "plain", theme.upload, theme.upload),
        ("last to arrive", "plain", theme.last, theme.last),
        ("waiting", "dots", theme.background, theme.waiting),
        ("verification", "steep", theme.verification, theme.background),
        ("accepted token", "plain", theme.accepted, theme.accepted),
        ("rejected", "hollow", theme.background, theme.muted),
        ("the server's token", "diamond", theme.background, theme.verification),
    ]
    if any_lost:
        entries.append(("upload lost", "crossed", theme.background, theme.lost))
    write_legend(canvas, entries)

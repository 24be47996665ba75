"""A round, and the users about to play one, as pictures of 1280 x 720 pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym.physics.rounds import Decision, RoundOutcome
from multispin_gym.physics.users import Users
from multispin_gym.rendering.canvas import Canvas, Frame
from multispin_gym.rendering.layout import (
    AXIS,
    HEADINGS,
    RIGHT,
    SHARES,
    TOKENS,
    TOP,
    Layout,
    round_step,
    write_table,
    write_title,
)
from multispin_gym.rendering.parts import (
    draw_band,
    draw_tokens,
    room_for,
    write_goodput,
    write_round_legend,
    write_total,
)
from multispin_gym.rendering.theme import DARK, LIGHT
from multispin_gym.rendering.times import Times, draw_axis, draw_server, draw_user


def draw_round(
    users: Users,
    decision: Decision,
    outcome: RoundOutcome,
    title: str,
    *,
    optimum: float | None = None,
    value: float | None = None,
    present: ArrayLike | None = None,
    lost: ArrayLike | None = None,
    dark: bool = False,
) -> Frame:
    """Draw a round.

    On one time axis each user drafts, uploads and waits for the last, and the server verifies. Beside it stand who the
    users are, their draft lengths and how many tokens were accepted; below it the shares of the band.

    Parameters
    ----------
    users
        The users of one cell. Shape (K,).
    decision
        What was decided. Shape (K,).
    outcome
        What came of it: tokens expected or sampled.
    title
        What the headline says.
    optimum
        The round's optimum, or a bound on it, token/s; None or NaN where it is not known.
    value
        What the optimum is of, where that is not the goodput: the weighted goodput, token/s.
    present
        Whether each user is there; by default as the users say. Shape (K,).
    lost
        Whether each user's upload came too late and was lost; by default as the outcome says. Shape (K,).
    dark
        Whether the background is dark.

    Returns
    -------
    numpy.ndarray
        The picture, red, green and blue, uint8. Shape (720, 1280, 3).

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    there = _mask(users.present if present is None else present, users.num_users)
    in_time = _mask(outcome.verified, users.num_users)
    late = there & (~in_time if lost is None else _mask(lost, users.num_users))
    canvas, layout = Canvas(DARK if dark else LIGHT), Layout(users.num_users)
    times = Times.of(outcome, there & ~late)
    write_title(canvas, title)
    write_goodput(canvas, outcome, optimum, value)
    write_table(canvas, layout, users, there)
    draw_axis(canvas, layout, times)
    canvas.text(SHARES, HEADINGS, "share", 13, canvas.theme.muted, "rm")
    canvas.text(TOKENS, HEADINGS, "tokens", 13, canvas.theme.muted)
    most = room_for(int(decision.draft_lengths.max()))
    for user in range(users.num_users):
        if there[user]:
            draw_user(canvas, layout, times, user, bool(late[user]))
            draw_tokens(canvas, layout, user, decision, outcome, most)
        elif layout.text_size:
            canvas.text(AXIS + 8, layout.middle(user), "absent", layout.text_size, canvas.theme.muted)
    draw_server(canvas, layout, times, float(outcome.verification_time))
    write_total(canvas, layout, outcome)
    draw_band(canvas, layout, np.where(there, decision.bandwidth_shares, 0.0), times.last, late)
    write_round_legend(canvas, bool(late.any()))
    return canvas.frame()


def _mask(mask: ArrayLike | None, num_users: int) -> NDArray[np.bool_]:
    """A mask of all users: as it is given, or else all of them."""
    return np.broadcast_to(np.asarray(True if mask is None else mask, dtype=np.bool_), (num_users,))


def draw_users(users: Users, title: str, *, present: ArrayLike | None = None, dark: bool = False) -> Frame:
    """Draw the users about to play a round.

    Parameters
    ----------
    users
        The users of one cell. Shape (K,).
    title
        What the headline says.
    present
        Whether each user is there; by default as the users say. Shape (K,).
    dark
        Whether the background is dark.

    Returns
    -------
    numpy.ndarray
        The picture, red, green and blue, uint8. Shape (720, 1280, 3).

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    there = _mask(users.present if present is None else present, users.num_users)
    canvas, layout = Canvas(DARK if dark else LIGHT), Layout(users.num_users, whole=True)
    write_title(canvas, title)
    write_table(canvas, layout, users, there)
    _draw_panels(canvas, layout, users, there)
    return canvas.frame()


def _draw_panels(canvas: Canvas, layout: Layout, users: Users, there: NDArray[np.bool_]) -> None:
    """Draw what sets the users apart, each on an axis of its own."""
    theme = canvas.theme
    gains = 10.0 * np.log10(users.channel_gain)
    fastest = float(users.drafting_speed.max())
    step = round_step(fastest)
    seen = gains[there] if there.any() else gains
    low, high = 10.0 * math.floor(0.1 * float(seen.min()) - 0.2), 10.0 * math.ceil(0.1 * float(seen.max()) + 0.01)
    panels = (
        ("acceptance rate", users.acceptance_rate, 0.0, 1.0, theme.accepted),
        ("drafting speed, token/s", users.drafting_speed, 0.0, step * math.ceil(fastest / step), theme.drafting),
        ("channel gain, dB", gains, low, high, theme.upload),
    )
    width = (RIGHT - TOKENS + 30.0) / len(panels)
    for index, (name, values, least, most, colour) in enumerate(panels):
        left = TOKENS + index * width
        right = left + width - 30.0
        canvas.text(left, HEADINGS, f"{least:g}", 13, theme.muted)
        canvas.text(0.5 * (left + right), HEADINGS, name, 14, theme.ink, "mm")
        canvas.text(right, HEADINGS, f"{most:g}", 13, theme.muted, "rm")
        for edge in (left, 0.5 * (left + right), right):
            canvas.fill(edge, TOP - 4, edge + 1, layout.bottom, theme.line)
        places = left + (right - left) * (values - least) / (most - least)
        for user in np.flatnonzero(there).tolist():
            middle, half, place = layout.middle(user), 0.8 * layout.half, float(places[user])
            # A length means something only where the axis begins at zero: gains are places.
            thick = half if least == 0.0 else max(1.0, 0.12 * half)
            canvas.fill(left, middle - thick, place, middle + thick, colour)
            canvas.fill(place - min(half, 8.0), middle - half, place, middle + half, colour)

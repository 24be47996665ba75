"""A round as text: who drafts, uploads and waits, and for how long."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.physics.rounds import Decision, RoundOutcome
from multispin_gym.physics.users import Users

DRAFTING, UPLOAD, WAITING, VERIFICATION, LOST = "░", "█", "·", "▓", "▒"
BAR_WIDTH = 60
_HEAD = "user  accept  token/s  gain dB"
_LEGEND = f"{DRAFTING} drafting  {UPLOAD} upload  {WAITING} waiting for the last user  {VERIFICATION} verification"


def _gain_db(users: Users) -> FloatArray:
    return np.asarray(10.0 * np.log10(users.channel_gain))


def _describe(users: Users) -> list[str]:
    """Return one line for each user, of the width of the head."""
    rows = zip(users.acceptance_rate, users.drafting_speed, _gain_db(users), strict=True)
    texts = [f"{k:>4}  {a:>6.3f}  {v:>7.1f}  {g:>7.1f}" for k, (a, v, g) in enumerate(rows, start=1)]
    there = np.ones(users.num_users, np.bool_) if users.present is None else users.present
    return [
        text if here else f"{k:>4}  absent"
        for k, (text, here) in enumerate(zip(texts, there.tolist(), strict=True), start=1)
    ]


def render_users(users: Users, title: str) -> str:
    """Picture the users about to play a round.

    Parameters
    ----------
    users
        The users of one cell. Shape (K,).
    title
        What the first line says.

    Returns
    -------
    str
        A table, one line per user.
    """
    return "\n".join([f"MultiSpin  {title}", "", _HEAD, *_describe(users), ""])


def _columns(seconds: float, horizon: float) -> int:
    """Column of the time axis at which a moment lies."""
    return BAR_WIDTH if math.isinf(seconds) else min(BAR_WIDTH, round(BAR_WIDTH * seconds / horizon))


def _axis(horizon: float) -> tuple[str, str]:
    """Label the time axis at round numbers of milliseconds: labels, and the ruler below them."""
    milliseconds = 1e3 * horizon
    step = 10.0 ** math.floor(math.log10(milliseconds / 2.0))
    step = next(step * factor for factor in (1, 2, 5, 10) if milliseconds / (step * factor) <= 6.0)
    labels, ruler = [" "] * (BAR_WIDTH + 8), ["─"] * BAR_WIDTH
    for index in range(int(milliseconds / step) + 1):
        column = _columns(1e-3 * index * step, horizon)
        if column < BAR_WIDTH:
            text = f"{index * step:g}" + ("" if index else " ms")
            labels[column : column + len(text)] = text
            ruler[column] = "┬"
    return "".join(labels).rstrip(), "".join(ruler)


def _time(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{1e3 * seconds:.1f} ms"


def render_round(users: Users, decision: Decision, outcome: RoundOutcome, title: str) -> str:
    """Picture a round on one time axis.

    Parameters
    ----------
    users
        The users of one cell. Shape (K,).
    decision
        What was decided. Shape (K,).
    outcome
        What came of it.
    title
        What the first line says, before the goodput.

    Returns
    -------
    str
        A table, one line per user: acceptance rate, drafting speed, channel gain, draft length, share of the bandwidth,
        bars of drafting, upload and waiting, and the tokens gained; below them the server's verification.
    """
    arrival, start, late = _arrivals(users, outcome)
    finite = np.where(np.isfinite(arrival), arrival, outcome.drafting_time)
    # A round in which nobody takes part takes no time.
    horizon = float(finite.max() + outcome.verification_time) or 1.0
    begun = _columns(start, horizon)
    labels, ruler = _axis(horizon)
    head = f"{_HEAD}  draft   share  "
    total = float(outcome.tokens.sum())
    account = f"{float(outcome.goodput):.1f} token/s = {total:.2f} tokens / {_time(float(outcome.latency))}"
    lines = [
        f"MultiSpin  {title}  {account}",
        "",
        " " * len(head) + labels,
        f"{head}{ruler}  tokens",
    ]
    for k, text in enumerate(_describe(users)):
        drafted = _columns(float(outcome.drafting_time[k]), horizon)
        arrived = _columns(float(arrival[k]), horizon)
        bar = DRAFTING * drafted + (LOST if late[k] else UPLOAD) * (arrived - drafted) + WAITING * (begun - arrived)
        if users.present is not None and not users.present[k]:
            lines.append(text)
            continue
        length, share = int(decision.draft_lengths[k]), float(decision.bandwidth_shares[k])
        tokens = "late" if late[k] else f"{float(outcome.tokens[k]):.2f}"
        lines.append(f"{text}  {length:>5}  {share:>6.1%}  {bar:<{BAR_WIDTH}}  {tokens:>6}")
    server = " " * begun + VERIFICATION * (BAR_WIDTH - begun)
    spent = f"verification {_time(float(outcome.verification_time))}"
    legend = f"{_LEGEND}  {LOST} lost" if late.any() else _LEGEND
    lines += [f"{'server':<10}{spent:<{len(head) - 10}}{server}  {total:>6.2f}", "", legend, ""]
    return "\n".join(lines)


def _arrivals(users: Users, outcome: RoundOutcome) -> tuple[FloatArray, float, NDArray[np.bool_]]:
    """When drafts are in, s, at the latest when the server goes on without them; when it does; and who is late."""
    arrival = outcome.drafting_time + outcome.upload_time
    if outcome.verified is None:
        return arrival, float(arrival.max()), np.zeros(arrival.shape, np.bool_)
    back = 0.0 if outcome.downlink_time is None else float(outcome.downlink_time)
    start = max(0.0, float(outcome.latency - outcome.verification_time) - back)
    late = ~outcome.verified if users.present is None else users.present & ~outcome.verified
    return np.minimum(arrival, start), start, late

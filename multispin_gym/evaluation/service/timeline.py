"""An episode over time as a picture. Importing this module needs matplotlib, so it is imported only to draw."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.evaluation.service.loop import begin_episodes, play_round
from multispin_gym.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multispin_gym.envs.variants import Variant
    from multispin_gym.evaluation.player import Player

_UNDER_WAY, _ON_TIME, _LATE, _LOST, _QUEUE = "#cfd8e3", "#9ccc9c", "#e8a598", "#c2410c", "#1f5fa8"
_LONGEST = 0.42


@dataclass
class _Request:
    """A request's stay in a slot."""

    slot: int
    arrival: float
    begin: float
    deadline: float
    end: float = np.inf
    on_time: bool | None = None


@dataclass
class Timeline:
    """What happened in an episode.

    Parameters
    ----------
    title
        What was played.
    longest_draft
        The longest draft that the cell allows, token.
    starts, ends
        When rounds began and ended, s. A list of numbers each.
    lengths, verified, present, queue
        Draft lengths, who was verified, who was present and how many waited in each round. Lists of arrays (K,), and of
        numbers.
    requests
        The requests that were in a slot.
    """

    title: str
    longest_draft: int
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    lengths: list[NDArray[Any]] = field(default_factory=list)
    verified: list[NDArray[Any]] = field(default_factory=list)
    present: list[NDArray[Any]] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    requests: list[_Request] = field(default_factory=list)


def record_episode(player: Player, variant: Variant, scenario: Scenario, seed: int) -> Timeline:
    """Play one episode and write down what happens."""
    assert scenario.clock is not None
    game = ClockGame(variant, scenario, scenario.clock)
    info = begin_episodes(player, game, [seed])
    line = Timeline(f"{scenario.name}: {player.name}, seed {seed}", game.cell.max_draft_length)
    under_way: dict[int, _Request] = {}
    while not game.ended[0]:
        slots, start = game.slots, float(game.time[0])
        for slot in np.flatnonzero(slots.present[0]).tolist():
            arrival, deadline = (float(slots.values[name][0, slot]) for name in ("arrival", "deadline"))
            known = under_way.get(slot)
            if known is None or known.arrival != arrival:
                under_way[slot] = _Request(slot, arrival, start, deadline)
                line.requests.append(under_way[slot])
        queue = int(game.waiting[0])
        played, info = play_round(player, game, info)
        assert played.service is not None
        end = start + float(played.outcome.latency[0])
        line.starts.append(start)
        line.ends.append(end)
        line.lengths.append(played.decision.draft_lengths[0])
        line.verified.append(played.service.verified[0])
        line.present.append(played.service.present[0])
        line.queue.append(queue)
        for slot, request in list(under_way.items()):
            if played.service.finished[0, slot]:
                request.end, request.on_time = end, bool(played.service.on_time[0, slot])
                del under_way[slot]
            elif played.service.given_up[0, slot] or request.deadline < end:
                request.end, request.on_time = end, False
                del under_way[slot]
    for request in under_way.values():
        request.end = line.ends[-1]
    return line


def draw_timeline(line: Timeline) -> bytes:
    """Draw an episode: each slot's requests and drafts over time, what was lost, and the queue.

    Parameters
    ----------
    line
        The episode.

    Returns
    -------
    bytes
        A PNG picture.
    """
    num_users = len(line.lengths[0])
    figure = Figure(figsize=(12.0, 2.2 + 0.55 * num_users), dpi=130, layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[num_users, 1.3])
    for request in line.requests:
        _draw_request(axes, request)
    starts, widths = np.array(line.starts), np.array(line.ends) - np.array(line.starts)
    for slot in range(num_users):
        _draw_drafts(axes, line, slot, starts, widths)
    axes.set(ylim=(num_users - 0.4, -0.6), ylabel="user", title=line.title)
    axes.set_yticks(range(num_users))
    below.step(starts, [int(present.sum()) for present in line.present], where="post", color="#333333", label="present")
    below.step(starts, line.queue, where="post", color=_QUEUE, label="waiting")
    below.set(xlabel="time, s", ylabel="requests", xlim=(0.0, line.ends[-1]))
    below.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
    marks = [
        Patch(color=_ON_TIME, label="request that ended on time"),
        Patch(color=_LATE, label="that did not"),
        Patch(color=_UNDER_WAY, label="without an end here"),
        Patch(color="#333333", label=f"draft verified (full height: {line.longest_draft} tokens)"),
        Patch(color=_LOST, label="draft lost"),
        Line2D([], [], color="black", marker="|", linestyle="", markersize=9, label="deadline"),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=6, frameon=False, fontsize=8)
    for panel in (axes, below):
        panel.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_request(axes: Axes, request: _Request) -> None:
    color = _UNDER_WAY if request.on_time is None else _ON_TIME if request.on_time else _LATE
    axes.broken_barh(
        [(request.begin, request.end - request.begin)], (request.slot - _LONGEST, 2 * _LONGEST), color=color, zorder=1
    )
    if np.isfinite(request.deadline):
        axes.plot(request.deadline, request.slot, "|", color="black", markersize=14, zorder=4)


def _draw_drafts(axes: Axes, line: Timeline, slot: int, starts: FloatArray, widths: FloatArray) -> None:
    """Draw a slot's drafts as bars that stand on its line, as high as they are long."""
    lengths = np.array([lengths[slot] for lengths in line.lengths])
    verified = np.array([verified[slot] for verified in line.verified])
    heights = 2 * _LONGEST * lengths / line.longest_draft
    for some, color in ((verified & (lengths > 0), "#333333"), (~verified & (lengths > 0), _LOST)):
        axes.bar(
            starts[some],
            -heights[some],
            0.85 * widths[some],
            bottom=slot + _LONGEST,
            align="edge",
            color=color,
            alpha=0.75,
            zorder=3,
        )

"""How many pictures of a round are drawn in a second, beside matplotlib drawing the same bars and numbers.

``python benchmarks/rendering.py --help``. Writes rendering.json and prints a Markdown table.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from _report import head, table
from _study import Study, draw_users, run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from multispin_gym import Decision, RoundOutcome, Users, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.rendering import draw_round


@dataclass(frozen=True, kw_only=True)
class Rendering(Study):
    """Time pictures of 1280 x 720 pixels: process time, which other load on the machine does not stretch.

    Writes rendering.json.
    """

    scenario: str = "default"
    """Preset or scenario file."""
    num_users: tuple[int, ...] = (2, 8, 20, 40)
    """Numbers of users."""
    seconds: float = 3.0
    """Time given to each entry."""
    output: Path = Path("results/rendering")


def draw_with_matplotlib(users: Users, decision: Decision, outcome: RoundOutcome, title: str) -> np.ndarray[Any, Any]:
    """Draw the same bars, numbers, band and headline as :func:`multispin_gym.rendering.draw_round`, less its tokens."""
    figure = Figure(figsize=(12.8, 7.2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes, band = figure.subplots(2, 1, height_ratios=[12, 1])
    rows = np.arange(users.num_users)
    arrived = outcome.drafting_time + outcome.upload_time
    begun = float(arrived.max())
    axes.barh(rows, outcome.drafting_time, color="#56B4E9", hatch="//")
    axes.barh(rows, outcome.upload_time, left=outcome.drafting_time, color="#0072B2")
    axes.barh(rows, begun - arrived, left=arrived, color="white", hatch="..", edgecolor="grey")
    axes.axvspan(begun, float(outcome.latency), color="#E69F00", alpha=0.3)
    axes.set_title(f"{title}  {float(outcome.goodput):.1f} token/s")
    gains = 10.0 * np.log10(users.channel_gain)
    numbers = zip(
        users.acceptance_rate, users.drafting_speed, gains, decision.draft_lengths, outcome.tokens, strict=True
    )
    axes.set_yticks(rows, [f"{a:.2f}  {v:.0f}  {g:.0f}  {n}  {t:.2f}" for a, v, g, n, t in numbers])
    axes.invert_yaxis()
    lefts = np.cumsum([0.0, *decision.bandwidth_shares[:-1]])
    band.barh(np.zeros(users.num_users), decision.bandwidth_shares, left=lefts, color="#0072B2", edgecolor="white")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def rate(draw: Callable[[int], Any], seconds: float) -> float:
    """Pictures a second of process time; the first, which fills the caches, is not counted."""
    draw(0)
    start, count = time.process_time(), 0
    while count < 3 or time.process_time() - start < seconds:
        count += 1
        draw(count)
    return count / (time.process_time() - start)


def study(options: Rendering, command: str) -> None:
    scenario, controller = load_scenario(options.scenario), make_controller("uniform_best")
    drawers = {"multispin_gym": draw_round, "matplotlib": draw_with_matplotlib}
    rows = []
    for num_users in options.num_users:
        cells = draw_users(scenario, 64, 0, num_users)
        decisions = [controller(cells[cell], scenario.cell) for cell in range(64)]
        rounds = [
            (cells[cell], decision, play_round(cells[cell], scenario.cell, decision), f"round {cell + 1} of 64")
            for cell, decision in enumerate(decisions)
        ]

        def draw(index: int, name: str, rounds: list[Any] = rounds) -> Any:
            return drawers[name](*rounds[index % 64])

        rates = {name: rate(lambda index, name=name: draw(index, name), options.seconds) for name in drawers}
        rows.append({"num_users": num_users, "pictures_per_second": rates})
    options.write({"rendering.json": {**head(command), "matplotlib": mpl.__version__, "rows": rows}})
    lines = [[str(row["num_users"]), *(f"{row['pictures_per_second'][name]:.1f}" for name in drawers)] for row in rows]
    print(table(["K", *(f"{name}, pictures/s" for name in drawers)], lines, left=0), end="")


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Rendering, study, arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Pictures of evaluations. Importing this module needs matplotlib, so it is imported only to draw."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from multispin_gym.evaluation.results import EvaluationResult, PolicyResult
from multispin_gym.evaluation.service.measures import ServiceMeasures
from multispin_gym.evaluation.service.result import ServiceResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POLICY, _EPISODE, _MARK = "#1f5fa8", "#9bbfe3", "#c2410c"


def draw_result(result: EvaluationResult | ServiceResult) -> bytes:
    """Draw goodput and ratio to the reference of every policy, with intervals and each episode as a dot."""
    if isinstance(result, ServiceResult):
        return draw_service(result)
    names = list(result.policies)
    figure = Figure(figsize=(10.0, 1.9 + 0.42 * len(names)), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    plain = result.server_only_estimates["goodput"].mean
    left.axvline(plain, color=_MARK, linestyle="--", linewidth=1.2, label="server_only: no speculation")
    left.set_xlabel("goodput, token/s")
    left.set_yticks(range(len(names)), [_label(name) for name in names])
    left.set_ylim(len(names) - 0.4, -0.6)
    right.axvline(1.0, color="black", linestyle=":", linewidth=1.2, label=f"reference: {result.reference}")
    right.set_xlabel(f"goodput / {result.reference} reference")
    low = [estimates["lowest_decile_ratio_to_optimum"].mean for estimates in result.estimates.values()]
    right.plot(
        low, range(len(names)), "D", color="white", markeredgecolor=_POLICY, ms=4, zorder=5, label="lowest decile"
    )
    for axes, measure, kept in ((left, "goodput", (0.0, plain)), (right, "ratio_to_optimum", (1.0,))):
        _draw_measure(axes, result, measure)
        axes.set_xlim(_limits(result, measure, kept))
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=8)
    tokens = "sampled" if result.sampled else "expected"
    figure.suptitle(
        f"{result.scenario}: {result.num_users} users, {result.episodes} episodes of {result.length}, "
        f"{tokens} tokens, 95 % bootstrap intervals",
        fontsize=10,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_service(result: ServiceResult) -> bytes:
    """Draw return and goodput of every policy, with intervals and each episode as a dot."""
    names = list(result.policies)
    figure = Figure(figsize=(10.0, 1.9 + 0.42 * len(names)), dpi=150, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    panels[0].set_yticks(range(len(names)), [_label(result.label(name)) for name in names])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    labels = (f"return: {result.reward.replace('_', ' ')}", "goodput, token/s")
    for axes, measure, label in zip(panels, ("return", "goodput"), labels, strict=True):
        plain = result.server_only_estimates[measure].mean
        axes.axvline(plain, color=_MARK, linestyle="--", linewidth=1.2, label="server_only: no speculation")
        axes.set_xlabel(label)
        _draw_measure(axes, result, measure)
        axes.set_xlim(_limits(result, measure, (plain,)))
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)
    figure.suptitle(f"{result.title}, 95 % bootstrap intervals", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _label(name: str) -> str:
    """Shorten a path from the left and keep matplotlib from reading dollar signs as mathematics."""
    return (name if len(name) <= 32 else f"…{name[-31:]}").replace("$", r"\$")


def _draw_measure(axes: Axes, result: EvaluationResult | ServiceResult, measure: str) -> None:
    offsets = np.linspace(-0.25, 0.25, result.episodes) if result.episodes > 1 else np.zeros(1)
    policies: Mapping[str, PolicyResult | ServiceMeasures] = result.policies
    for row, (name, policy) in enumerate(policies.items()):
        axes.plot(policy.per_episode()[measure], row + offsets, ".", color=_EPISODE, markersize=3, zorder=1)
        estimate = result.estimates[name][measure]
        if estimate.ci95 is not None:
            axes.plot(estimate.ci95, (row, row), color=_POLICY, linewidth=2.5, zorder=3)
        axes.plot(estimate.mean, row, "o", color=_POLICY, markersize=6, zorder=4)


def _limits(result: EvaluationResult | ServiceResult, measure: str, kept: tuple[float, ...]) -> tuple[float, float]:
    """Range of an axis: what is compared, and episodes unless they are so far out that they would squeeze it."""
    estimates = [each[measure] for each in result.estimates.values()]
    compared = [*kept, *(end for e in estimates for end in (e.mean, *(e.ci95 or ())))]
    policies: Mapping[str, PolicyResult | ServiceMeasures] = result.policies
    dots = np.concatenate([policy.per_episode()[measure] for policy in policies.values()])
    low, high = min(compared), max(compared)
    reach = max(high - low, 0.05 * abs(high))
    low = min(low, max(float(dots.min()), low - 0.3 * reach))
    high = max(high, min(float(dots.max()), high + 0.3 * reach))
    # Where all is zero there is still an axis.
    margin = 0.03 * max(high - low, 0.01 * abs(high)) or 1.0
    return low - margin, high + margin

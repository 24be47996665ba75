"""Tables and a figure of what ``solvers.py`` measured."""

from __future__ import annotations

from typing import Any

from _report import machine_text, picture, table

NAMES = {
    "relax": "`relax`",
    "slsqp": "SLSQP, one start, analytic derivatives",
    "slsqp_numeric": "SLSQP, one start, finite differences",
    "slsqp_multistart": "SLSQP, 10 starts, analytic derivatives",
    "cvxpy": "cvxpy (Clarabel, Dinkelbach)",
    "heterogeneous": "`heterogeneous`",
    "certify": "`certify`",
    "brute": "brute force",
    "evolution": "differential evolution",
    "scip": "SCIP (MINLP)",
}
BATCH_HEADER = (
    "K",
    "`relax`, per cell of 1,024",
    "one cell",
    "SLSQP, analytic derivatives",
    "ratio in the batch",
    "for one cell",
    "SLSQP, finite differences",
    "ratio in the batch",
    "for one cell",
)


def comparison(rows: list[dict[str, Any]], kind: str) -> str:
    """Largest gap, time and memory by solver (down) and number of users (across)."""
    some = [row for row in rows if row["kind"] == kind]
    counts = sorted({row["num_users"] for row in some})
    lines = []
    for solver in dict.fromkeys(row["solver"] for row in some):
        found = {row["num_users"]: row for row in some if row["solver"] == solver}
        lines.append([NAMES[solver], *(_entry(found.get(count)) for count in counts)])
    return table(["solver", *(f"K = {count}" for count in counts)], lines)


def _entry(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    gap = "0" if abs(row["gap"]) < 1e-10 else f"{row['gap']:.0e}"
    memory = "" if row["memory_bytes"] is None else f"; {row['memory_bytes'] / 1e6:.1f} MB"
    return f"{gap}; {duration(row['cpu_seconds'])}{memory}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def batch_table(rows: list[dict[str, Any]]) -> str:
    """Time of the relaxation in a batch and alone, beside SLSQP's."""
    lines = []
    for row in rows:
        line = [str(row["num_users"]), duration(row["batch"]), duration(row["single"])]
        for name in ("slsqp", "slsqp_numeric"):
            line += [duration(row[name]), f"{row[name] / row['batch']:.0f}", f"{row[name] / row['single']:.2g}"]
        lines.append(line)
    return table(BATCH_HEADER, lines)


def decision_table(rows: list[dict[str, Any]]) -> str:
    """Time of whole decisions in a batch and alone."""
    lines = []
    for row in rows:
        batch, single = row["batch_heterogeneous"], row["single_heterogeneous"]
        lines.append([str(row["num_users"]), duration(batch), f"{1.0 / batch:,.0f}", duration(single)])
    return table(["K", "`heterogeneous`, per cell of 1,024", "cells/s", "one cell"], lines)


def proof_table(rows: list[dict[str, Any]]) -> str:
    """How many certificates are closed within a time."""
    lines = [
        [
            *(str(row[name]) for name in ("num_users", "cells")),
            f"{row['gap']:g}",
            f"{row['limit']:g} s",
            *(str(row[name]) for name in ("within_cpu", "within_wall")),
            *(duration(row[name]) for name in ("median_cpu", "largest_cpu")),
            f"{row['largest_gap']:.1e}",
        ]
        for row in rows
    ]
    columns = ["limit", "within it, CPU", "within it, clock", "median CPU", "largest", "largest gap"]
    return table(["K", "cells", "gap", *columns], lines)


def large_table(rows: list[dict[str, Any]]) -> str:
    """Time in one cell with very many users."""
    lines = [
        [f"{row['num_users']:,}", duration(row["relax"]), duration(row["heterogeneous"]), f"{row['gap']:.1e}"]
        for row in rows
    ]
    return table(["users in one cell", "`relax`", "`heterogeneous`", "gap of its decision to the bound"], lines)


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    libraries = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return "\n".join(
        [
            "# Solvers beside each other\n",
            f"`{report['command']}`\n",
            f"Cells of `{report['scenario']}`, seed {report['seed']}; the same for all. Processor time, one thread,",
            f"median. {machine_text(report)}, shared with other work while this ran: the clock",
            f"went {report['wall_over_cpu']:.1f} times as fast as the processor time. {libraries}.\n",
            "## Whole lengths: the problem itself\n",
            "Largest distance from the certified upper bound over the cells (`certify` stops at 1e-6); time; rise",
            "of the resident memory while it solves. A solver is not tried further once a cell takes it more than",
            f"{report['limit']:g} s of processor time (SCIP stops itself at {report['scip_limit']:g} s).\n",
            comparison(report["comparison"], "whole"),
            "## Real lengths: the relaxation\n",
            "Largest distance from the optimum that `relax` states.\n",
            comparison(report["comparison"], "relaxed"),
            "![Time and gap over the number of users](solvers.png)\n",
            "## A batch of 1,024 cells\n",
            "One start of SLSQP that converged to 1e-6, beside the relaxation with its bound.\n",
            batch_table(report["batch"]),
            "Whole decisions, relaxation and rounding:\n",
            decision_table(report["batch"]),
            "## Certificates within a time\n",
            proof_table(report["certificates"]),
            "## Very many users\n",
            large_table(report["many_users"]),
        ]
    )


def draw(report: dict[str, Any]) -> bytes:
    """Time over the number of users, relaxed and whole, and the gap of the whole ones, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, kind, field in zip(
        figure.subplots(1, 3), ("whole", "relaxed", "whole"), ("cpu_seconds", "cpu_seconds", "gap"), strict=True
    ):
        rows = [row for row in report["comparison"] if row["kind"] == kind]
        for solver in dict.fromkeys(row["solver"] for row in rows):
            points = [(row["num_users"], max(row[field], 1e-11)) for row in rows if row["solver"] == solver]
            axes.loglog(*zip(*points, strict=True), marker="o", label=NAMES[solver].strip("`"))
        if kind == "relaxed":
            points = [(row["num_users"], row["batch"]) for row in report["batch"]]
            axes.loglog(*zip(*points, strict=True), marker="s", linestyle="--", label="relax, cell of a batch of 1,024")
        axes.set_xlabel("users in the cell")
        axes.set_ylabel("processor time, s" if field == "cpu_seconds" else "distance from the certified bound")
        axes.set_title("whole lengths" if kind == "whole" else "relaxation")
        axes.legend(fontsize=7)
    return picture(figure)

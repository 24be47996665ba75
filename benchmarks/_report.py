"""What reports are made of: their head, numbers with intervals, tables, pictures and JSON."""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym._files import write_atomically
from multispin_gym.evaluation.report import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def head(command: str) -> dict[str, Any]:
    """Return what a report begins with: what made it, with what, and on which machine."""
    machine = {"cores": os.cpu_count(), "architecture": platform.machine(), "processor": _processor()}
    return {"command": command, "versions": versions(), "machine": machine}


def machine_text(report: Mapping[str, Any]) -> str:
    """Write the machine of a report's head."""
    machine = report["machine"]
    return f"{machine['cores']} cores, {machine['processor']}, {machine['architecture']}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lay a table out in Markdown: the first columns flush left, the others flush right."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, rule, *rows))


def range_rows(found: Mapping[str, Sequence[Mapping[str, Any]]], labels: Sequence[str]) -> list[list[str]]:
    """Lay out the least and the largest of the ``parts`` of each label over several results, a line for each key."""
    lines = []
    for key, results in found.items():
        every = [[result["parts"][label] for result in results] for label in labels]
        lines.append([key, *(f"{min(parts):.4f} to {max(parts):.4f}" for parts in every)])
    return lines


def interval_text(estimate: Mapping[str, Any], form: str) -> str:
    """Write a mean with its interval, if it has one."""
    ends = "" if estimate["ci95"] is None else " ({}, {})".format(*(format(end, form) for end in estimate["ci95"]))
    return f"{estimate['mean']:{form}}{ends}"


def picture(figure: Figure, dpi: int = 120) -> bytes:
    """Return a figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def json_text(data: Any, indent: str = "") -> str:
    """Write JSON with a line for each list and dictionary that holds no others."""
    inner = list(data.values()) if isinstance(data, dict) else data
    if not isinstance(inner, list | tuple) or not any(isinstance(value, dict | list | tuple) for value in inner):
        return json.dumps(data)
    names = [f"{json.dumps(str(name))}: " for name in data] if isinstance(data, dict) else [""] * len(inner)
    lines = [f"{indent} {name}{json_text(value, indent + ' ')}" for name, value in zip(names, inner, strict=True)]
    opening, closing = "{}" if isinstance(data, dict) else "[]"
    return "\n".join([opening, ",\n".join(lines), indent + closing])


def write(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write files all or none, by name: pictures as they are, text, and as JSON whatever else there is."""

    def data(content: Any) -> bytes:
        if isinstance(content, bytes):
            return content
        return (content if isinstance(content, str) else json_text(content) + "\n").encode()

    write_atomically(folder, {name: data(content) for name, content in contents.items()})


def _processor() -> str:
    """Name the processor as Linux does, or else by its architecture."""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()

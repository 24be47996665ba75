"""Results of tasks in files, each with the key of what it depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from multispin_gym._files import write_atomically

MISSING: Any = object()


def result_file(folder: Path, name: str) -> Path:
    """Return the file of a task's result."""
    return folder / f"{name}.json"


def read_result(folder: Path, name: str, digest: str) -> Any:
    """Return a stored result, MISSING if there is none of this key; whatever else the file holds counts as nothing."""
    try:
        stored = json.loads(result_file(folder, name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return MISSING
    if not isinstance(stored, dict) or stored.get("key") != digest:
        return MISSING
    return stored.get("result", MISSING)


def write_result(folder: Path, name: str, digest: str, result: Any) -> Any:
    """Store a result and return it as it will be read."""
    try:
        text = json.dumps({"key": digest, "result": result})
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"its result is to be kept in a folder, and must be JSON-able for that: {error}") from None
    write_atomically(folder, {result_file(folder, name).name: f"{text}\n".encode()})
    return json.loads(text)["result"]

"""Results of tasks in files, each with the key of what it depends on and a sum of what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from multispin_gym._files import write_atomically
from multispin_gym._reading import read_json

MISSING: Any = object()
LARGEST_RESULT = 2**32


def result_file(folder: Path, name: str) -> Path:
    """Return the file of a task's result."""
    return folder / f"{name}.json"


def read_result(folder: Path, name: str, digest: str) -> Any:
    """Return a stored result, MISSING if there is none of this key; whatever else the file holds counts as nothing."""
    try:
        stored = read_json(result_file(folder, name), LARGEST_RESULT)
    except (OSError, ValueError):
        return MISSING
    if not isinstance(stored, dict) or stored.get("key") != digest or "result" not in stored:
        return MISSING
    return stored["result"] if stored.get("sum") == _sum_of(digest, json.dumps(stored["result"])) else MISSING


def write_result(folder: Path, name: str, digest: str, result: Any) -> Any:
    """Store a result and return it as it will be read."""
    try:
        text = json.dumps(result)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"its result is to be kept in a folder, and must be JSON-able for that: {error}") from None
    # As it will be read: names of dictionaries, which JSON makes strings, may have changed their order or number.
    result = json.loads(text)
    text = json.dumps(result)
    whole = f'{{"key": "{digest}", "sum": "{_sum_of(digest, text)}", "result": {text}}}\n'
    write_atomically(folder, {result_file(folder, name).name: whole.encode()})
    return result


def _sum_of(digest: str, text: str) -> str:
    return hashlib.sha256(f"{digest}\n{text}".encode()).hexdigest()

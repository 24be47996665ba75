"""Files that others wrote, read up to a bound; whatever is wrong with their bytes gives one ``ValueError``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of at most so many bytes; a longer one is refused before any of it is read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # Not all files know their size.
        data = file.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise ValueError(f"it must have at most {most} bytes, got {max(size, len(data))}")
    return data


def read_text(path: Path, most: int) -> str:
    """Read UTF-8 of at most so many bytes; a byte order mark is left out."""
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be UTF-8 text, got the byte 0x{data[error.start]:02x} at {error.start}") from None


def read_json(path: Path, most: int) -> Any:
    """Read JSON of at most so many bytes."""
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """Read JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not valid JSON: {error}") from None

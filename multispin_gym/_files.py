"""Files that are whole or not there, and no larger than what is read of them."""

from __future__ import annotations

import glob
import importlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

# Where there are no such locks, files of killed writers stay.
_LOCKS: Any = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None


def write_atomically(
    directory: Path, contents: Mapping[str, bytes], *, seal: str | None = None, remove: Iterable[str] = ()
) -> None:
    """Write several files into a directory, each whole or not at all.

    All are first written under temporary names; none takes its place before all are safely on disk. A ``seal`` is the
    one of them that vouches for the others: an earlier one is removed before any of them changes, and the new one is
    put in its place when all else is done, ``remove`` (files that are to go) included. What killed writers of the same
    files left behind is removed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in contents:
        _remove_orphans(directory, name)
    written: dict[str, Path] = {}
    with ExitStack() as stack:
        for name, data in contents.items():
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=directory)
            written[name] = Path(temporary)
            stack.callback(written[name].unlink, missing_ok=True)
            # Open, and so locked, until all files are in place.
            file = stack.enter_context(os.fdopen(handle, "wb"))
            _lock(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
        if seal is not None:
            (directory / seal).unlink(missing_ok=True)
        for name in remove:
            (directory / name).unlink(missing_ok=True)
        for name in sorted(written, key=lambda name: name == seal):
            os.replace(written[name], directory / name)


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of at most so many bytes; a longer one gives a ``ValueError`` before any of it is read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # Not all files know their size.
        data = file.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise ValueError(f"it must have at most {most} bytes, got {max(size, len(data))}")
    return data


def read_text(path: Path, most: int) -> str:
    """Read a text of at most so many bytes; other bytes than UTF-8 give a ``ValueError``, a byte order mark nothing."""
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be UTF-8 text, got the byte 0x{data[error.start]:02x} at {error.start}") from None


def read_json(path: Path, most: int) -> Any:
    """Read JSON of at most so many bytes; whatever is wrong with it gives a ``ValueError``."""
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """Read JSON; whatever is wrong with it gives a ``ValueError``."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not valid JSON: {error}") from None


def _remove_orphans(directory: Path, name: str) -> None:
    """Remove the temporary files of one name that nobody is writing."""
    for path in directory.glob(f".{glob.escape(name)}.*.tmp"):
        with suppress(OSError), path.open("rb+") as file:
            if _lock(file):
                path.unlink()


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed; False where another process has, and where that cannot be known."""
    with suppress(OSError):
        return _LOCKS is not None and _LOCKS.flock(file, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB) is None
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

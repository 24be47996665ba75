"""Files that are whole or not there."""

from __future__ import annotations

import glob
import importlib
import importlib.util
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
    remove_leftovers(directory, contents)
    written: dict[str, Path] = {}
    with ExitStack() as stack:
        for name, data in contents.items():
            # Open, and so locked, until all files are in place.
            written[name], file = _open_temporary(directory, name)
            stack.callback(written[name].unlink, missing_ok=True)
            stack.enter_context(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(written[name], 0o666 & ~_umask())
        if seal is not None:
            (directory / seal).unlink(missing_ok=True)
        for name in remove:
            (directory / name).unlink(missing_ok=True)
        for name in sorted(written, key=lambda name: name == seal):
            os.replace(written[name], directory / name)


def leftovers(directory: Path, names: Iterable[str]) -> list[Path]:
    """Return the temporary files of some names: of writers that were killed, or that are at work."""
    return [path for name in names for path in directory.glob(f".{glob.escape(name)}.*.tmp")]


def remove_leftovers(directory: Path, names: Iterable[str]) -> None:
    """Remove the temporary files of some names that nobody is writing."""
    for path in leftovers(directory, names):
        with suppress(OSError), path.open("rb+") as file:
            if _lock(file, wait=False):
                path.unlink()


def _open_temporary(directory: Path, name: str) -> tuple[Path, IO[bytes]]:
    """Open a new temporary file of a name, locked until it is closed."""
    while True:
        handle, path = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=directory)
        file = os.fdopen(handle, "wb")
        _lock(file, wait=True)
        # Before it was locked, another writer may have taken it for a leftover.
        if os.path.exists(path):
            return Path(path), file
        file.close()


def _lock(file: IO[bytes], *, wait: bool) -> bool:
    """Lock a file until it is closed; False where another writer has, and where that cannot be known."""
    with suppress(OSError):
        return _LOCKS is not None and _LOCKS.flock(file, _LOCKS.LOCK_EX | (0 if wait else _LOCKS.LOCK_NB)) is None
    return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""The build backend: setuptools, whose archives here depend on nothing but the files in them.

Times, permissions and the order of files come from the file system, the umask and the clock; a wheel or a source
distribution is written again without them. Two builds of the same files are the same bytes.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

# The date of every file in an archive, unless SOURCE_DATE_EPOCH says another: 2020-02-02, as other backends have it.
DATE = 1580601600


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel and return its name."""
    with _scratch():
        name = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    _replace(Path(wheel_directory, name), _write_wheel)
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build a source distribution and return its name."""
    name = build_meta.build_sdist(sdist_directory, config_settings)
    _replace(Path(sdist_directory, name), _write_sdist)
    return name


@contextmanager
def _scratch() -> Iterator[None]:
    """Let setuptools build in a folder of its own: in `build/` it would find files that are no longer in the source."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "setup.cfg")
        settings.write_text(f"[build]\nbuild_base = {folder}\n", encoding="utf-8")
        before = os.environ.get("DIST_EXTRA_CONFIG")
        os.environ["DIST_EXTRA_CONFIG"] = str(settings)
        try:
            yield
        finally:
            del os.environ["DIST_EXTRA_CONFIG"]
            if before is not None:
                os.environ["DIST_EXTRA_CONFIG"] = before


def _replace(path: Path, write: Callable[[Path, Path, int], None]) -> None:
    """Write an archive again, and move it over the first."""
    new = path.with_name(f"{path.name}.new")
    write(path, new, int(os.environ.get("SOURCE_DATE_EPOCH", DATE)))
    new.replace(path)


def _mode(mode: int) -> int:
    """Permissions as a version control system keeps them: whether a file can be run, and nothing else."""
    return 0o755 if mode & stat.S_IXUSR else 0o644


def _write_wheel(old: Path, new: Path, date: int) -> None:
    # Zip files know no year before 1980. The order is kept: setuptools sorts, and puts the metadata last.
    stamp = time.gmtime(max(date, 315532800))[:6]
    with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            info = zipfile.ZipInfo(entry.filename, stamp)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | _mode(entry.external_attr >> 16)) << 16
            target.writestr(info, source.read(entry))


def _write_sdist(old: Path, new: Path, date: int) -> None:
    with (
        tarfile.open(old) as source,
        new.open("wb") as file,
        gzip.GzipFile("", "wb", mtime=date, fileobj=file) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in sorted(source.getmembers(), key=lambda entry: entry.name):
            info = tarfile.TarInfo(entry.name)
            info.type, info.size, info.linkname = entry.type, entry.size, entry.linkname
            info.mode, info.mtime = 0o755 if entry.isdir() else _mode(entry.mode), date
            target.addfile(info, source.extractfile(entry) if entry.isfile() else None)

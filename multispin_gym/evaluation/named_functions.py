"""Policies of one's own, named where they are written: ``module:function`` or ``path/to/file.py:function``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from multispin_gym._validation import nearest

_NAMED = re.compile(r"(?P<place>.+\.py|\w+(\.\w+)*):(?P<name>[^\W\d]\w*)")


def is_named_function(text: str) -> bool:
    """Whether a policy's name has the form of a function's: a module or a Python file, a colon and a name."""
    return _NAMED.fullmatch(text) is not None


def load_named_function(text: str) -> Any:
    """Load what a name stands for; modules are looked for in the working directory too.

    A file or module that does not exist, or holds nothing of the name, gives a ``ValueError`` or a
    ``FileNotFoundError``; so does one that cannot be imported, with what went wrong in it.
    """
    found = _NAMED.fullmatch(text)
    assert found is not None, "asked for by is_named_function"
    place, name = found["place"], found["name"]
    if place.endswith(".py") and not Path(place).is_file():
        raise FileNotFoundError(f"policy {text!r}: there is no file {place!r}")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except Exception as error:
        raise ValueError(f"policy {text!r}: {place} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        own = [known for known in vars(module) if not known.startswith("_")]
        raise ValueError(f"policy {text!r}: {place} has no {name}.{nearest(name, own)}")
    return getattr(module, name)


def _from_path(name: str) -> ModuleType:
    with _importable(os.getcwd()):
        return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    """Run a file as a module, once, under a name that nothing else has; it may import what lies beside it."""
    path = path.resolve()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "its name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(str(path.parent)):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """Let modules be imported from a folder, after all other places."""
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)

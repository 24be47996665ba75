"""How the solver's loops are compiled: with numba, once for each state of their sources.

Numba keeps what it has compiled beside the source, and looks at the date of the file that a function stands in, not at
those of the functions that it calls. So what is kept is kept by the contents of all sources behind it. This module
needs numba.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from multispin_gym import physics


def _folder() -> str:
    """Where the compiled functions of these sources are kept."""
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *Path(physics.__file__).parent.glob("*.py")])
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    return str(Path(numba.config.CACHE_DIR or here / "__pycache__") / f"compiled-{digest[:16]}")


_FOLDER = _folder()


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function of numbers and arrays on its first call; what divides by zero is infinite, as in NumPy."""
    # Without a word of their own functions would take over from whoever calls them whether they make arrays.
    options = {"error_model": "numpy", "_nrt": True, **options}
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, _FOLDER
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        # Nowhere to keep it.
        return numba.njit(**options)(function)
    finally:
        numba.config.CACHE_DIR = before


def lean(function: Callable[..., Any]) -> Any:
    """Compile a function that makes no array, and calls none that does: methods of arrays do, even ``max``.

    Numba need not count who has a hold of the arrays that it is given: a row has twenty of them, and to count each in
    and out of every call takes longer than all arithmetic.
    """
    return compiled(function, _nrt=False)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a small function that makes no array into those that call it."""
    return compiled(function, _nrt=False, forceinline=True)

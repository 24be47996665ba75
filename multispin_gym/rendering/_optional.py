"""Libraries that only drawing needs, loaded when something is drawn."""

from __future__ import annotations

import importlib
import os
from typing import Any

_RENDER = "pip install 'multispin-gym[render]'"
_HINTS = {"PIL": _RENDER, "pygame": _RENDER, "imageio_ffmpeg": "pip install imageio-ffmpeg"}


def load(module: str) -> Any:
    """Import a library; where it is missing, say how to get it."""
    # Pygame greets on standard output, where programs write their results.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"drawing needs {package}, which is not installed: {_HINTS[package]}") from error

"""What the tests of the benchmarks share."""

import importlib

import pytest
from library import ROOT


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark as it is run: its neighbours by their file names."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module

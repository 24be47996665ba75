"""What the tests of agents share."""

import os
import signal

import pytest


@pytest.fixture
def interrupt_at_file(monkeypatch):
    """Send this process an interrupt, as Ctrl-C does, before the n-th file from now on takes its place."""
    place = os.replace

    def at(number):
        count = 0

        def replace(*names):
            nonlocal count
            count += 1
            if count == number:
                signal.raise_signal(signal.SIGINT)
            place(*names)

        monkeypatch.setattr(os, "replace", replace)

    return at

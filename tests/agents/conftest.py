"""What the tests of agents share."""

import os
import signal

import pytest


@pytest.fixture
def interrupt_at_file(monkeypatch):
    """Send this process an interrupt, as Ctrl-C does, before the n-th file from now on takes its place."""
    place = os.replace
    # Whatever the tests were started by: a shell's job in the background, and all that it starts, ignores interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def at(number):
        count = 0

        def replace(*names):
            nonlocal count
            count += 1
            if count == number:
                signal.raise_signal(signal.SIGINT)
            place(*names)

        monkeypatch.setattr(os, "replace", replace)

    yield at
    signal.signal(signal.SIGINT, before)

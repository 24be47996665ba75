"""How much time a search has left."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """The moment at which a search has to end, on the monotonic clock, s; None for no limit."""

    end: float | None = None

    @classmethod
    def of(cls, limit: float | None) -> Clock:
        """A clock that runs out after some seconds from now, or never."""
        return cls(None if limit is None else time.monotonic() + limit)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.end is not None

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.end is not None and time.monotonic() >= self.end


UNLIMITED = Clock()

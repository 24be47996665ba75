"""A window that shows pictures, over pygame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from multispin_gym.rendering._optional import load
from multispin_gym.rendering.canvas import HEIGHT, WIDTH, Frame


class Window:
    """A window of 1280 x 720 pixels, which opens when something is first shown."""

    def __init__(self) -> None:
        self._screen: Any = None
        self._clock: Any = None

    def show(self, frames: Sequence[Frame], fps: float) -> None:
        """Show pictures side by side, and wait until the last ones were there long enough."""
        pygame = load("pygame")
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption("MultiSpin")
            self._screen = pygame.display.set_mode((WIDTH, HEIGHT))
            self._clock = pygame.time.Clock()
        side = math.ceil(math.sqrt(len(frames)))
        size = (WIDTH // side, HEIGHT // side)
        self._screen.fill((0, 0, 0))
        for index, frame in enumerate(frames):
            surface = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
            place = (index % side * size[0], index // side * size[1])
            self._screen.blit(pygame.transform.smoothscale(surface, size), place)
        pygame.event.pump()
        self._clock.tick(fps)
        pygame.display.flip()

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._screen is not None:
            load("pygame").display.quit()
            self._screen = None

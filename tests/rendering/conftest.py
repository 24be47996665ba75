"""Windows that no screen shows."""

import os

os.environ["SDL_VIDEODRIVER"] = "dummy"

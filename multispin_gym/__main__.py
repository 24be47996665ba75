"""``python -m multispin_gym``: the command ``multispin``."""

import sys

from multispin_gym.commands.verbs import main

if __name__ == "__main__":
    sys.exit(main())

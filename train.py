"""Train an agent: ``python train.py --help``."""

import sys

from multispin_gym.agents.cli import main

if __name__ == "__main__":
    sys.exit(main())

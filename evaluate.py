"""Compare policies on the same episodes: ``python evaluate.py --help``."""

import sys

from multispin_gym.evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())

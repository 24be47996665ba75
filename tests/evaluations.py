"""What tests of the evaluation share: a small scenario, policies of one's own, and the command."""

import dataclasses
import subprocess
import sys

import numpy as np
from library import ROOT

from multispin_gym import Decision, load_scenario

MEASURES = ("goodput", "ratio_to_optimum", "long_run_goodput", "jain_index", "worst_user_rate")
# Runs a script as if the named packages were not installed.
WITHOUT = """
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Missing())
sys.argv[0] = "evaluate.py"
sys.path[0] = {root!r}
runpy.run_path({root!r} + "/evaluate.py", run_name="__main__")
"""


def small(name="laptops_60ms", **changes):
    """A scenario of three users and seven rounds."""
    return dataclasses.replace(load_scenario(name), **{"num_users": 3, "num_rounds": 7, **changes})


class WavyAgent:
    """Actions that depend on the observation in a fixed, crooked way."""

    def __init__(self, width):
        self.width = width

    def act(self, observation):
        features = np.concatenate([observation[key] for key in sorted(observation)], axis=-1)
        return np.sin(features @ np.linspace(1.0, 3.0, features.shape[-1] * self.width).reshape(-1, self.width))


def fixed_drafts(length):
    """A controller: one length for all, equal shares."""

    def controller(users, cell):
        return Decision(np.full(users.acceptance_rate.shape, length), 1.0 / users.num_users)

    return controller


def run_evaluate(*args, without=()):
    """Run ``evaluate.py``, as if some packages were not installed."""
    command = [sys.executable, "evaluate.py"]
    if without:
        command = [sys.executable, "-c", WITHOUT.format(blocked=list(without), root=str(ROOT))]
    return subprocess.run([*command, *map(str, args)], cwd=ROOT, capture_output=True, text=True, check=False)

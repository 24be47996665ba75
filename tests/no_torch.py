"""A plugin that makes the libraries of training unfindable: how the core's tests run where they are not installed.

``PYTHONPATH=tests python -m pytest -p no_torch tests/physics tests/envs``
"""

import sys
from importlib.abc import MetaPathFinder

LEFT_OUT = ("optuna", "safetensors", "stable_baselines3", "tensorboard", "torch", "torchrl", "tqdm")


class NotInstalled(MetaPathFinder):
    """Says of every module of these libraries that there is none."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


assert not set(LEFT_OUT) & set(sys.modules), "loaded too late"
sys.meta_path.insert(0, NotInstalled())

"""Policies in files of Stable-Baselines3. Loading one runs whatever code is pickled in it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file

from multispin_gym._validation import one_line, shown_path


def load_sb3_policy(path: Path) -> BasePolicy:
    """Load the policy in a file that a model's ``save`` wrote, whatever its algorithm; runs the code in the file.

    A file that is none of these gives a ``ValueError``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size, most = sum(part.file_size for part in archive.infolist()), 4 * path.stat().st_size + 2**26
        if size > most:
            raise ValueError(f"what it holds must have at most {most} bytes, got {size}")
        data, parameters, _ = load_from_zip_file(path, device="cpu")
        if data is None:
            raise ValueError("it holds no data")
        options: dict[str, Any] = dict(data.get("policy_kwargs") or {})
        # Algorithms on policy hand this one on by themselves, the others put it into the options.
        if data.get("use_sde"):
            options["use_sde"] = True
        policy: BasePolicy = data["policy_class"](
            data["observation_space"], data["action_space"], lambda _: 0.0, **options
        )
        weights: Any = parameters["policy"]
        policy.load_state_dict(weights)
    except Exception as error:
        raise ValueError(
            f"{shown_path(path)} is no policy file of Stable-Baselines3, or one that cannot be loaded here: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
    policy.set_training_mode(False)
    # As its model would have it: whether it lies in the observation space tells what training saw.
    setattr(policy, "_last_obs", data.get("_last_obs"))  # noqa: B010
    return policy

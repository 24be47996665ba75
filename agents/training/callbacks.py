"""What happens between PPO's updates: evaluation, checkpoints, schedules, progress and a clean stop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import obs_as_tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.training.held_out import HeldOutCells, HeldOutEpisodes
from multispin_gym.envs.observations import Observation
from multispin_gym.runner import interrupted


class StopTraining(Exception):  # noqa: N818 - a control flow signal, as StopIteration is
    """Raised between two updates to end a run early; its message says why."""


@contextmanager
def stop_flag() -> Iterator[list[bool]]:
    """Turn the first interrupt into a request to stop; a second one interrupts at once.

    Yields a list of one entry, which becomes true on an interrupt.
    """
    flag = [False]

    def handle(number: int, frame: FrameType | None) -> None:
        if flag[0]:
            raise KeyboardInterrupt
        flag[0] = True

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)


def schedule(kind: str, initial: float) -> Callable[[float], float]:
    """Return a schedule from an initial value over the remaining progress, which falls from 1 to 0.

    The kind is ``"constant"``, ``"linear"`` or ``"cosine"``.
    """
    if kind == "constant":
        return lambda remaining: initial
    if kind == "linear":
        return lambda remaining: initial * max(remaining, 0.0)
    return lambda remaining: initial * 0.5 * (1.0 - math.cos(math.pi * max(remaining, 0.0)))


class BetweenUpdates(BaseCallback):
    """Evaluates, saves and stops where SB3 stands between two updates: nothing random is under way there.

    It calls ``save`` to write a checkpoint, appends to ``evaluations``, which holds the earlier ones of a resumed run,
    and ends the run once the one entry of ``stop`` is true. ``seconds`` is what a resumed run was trained for before.
    """

    def __init__(
        self,
        config: TrainConfig,
        held_out: HeldOutCells | HeldOutEpisodes,
        save: Callable[[], None],
        evaluations: list[dict[str, float]],
        seconds: float,
        stop: list[bool],
    ) -> None:
        super().__init__()
        self.config = config
        self.held_out = held_out
        self.save = save
        self.evaluations = evaluations
        self.stop = stop
        self._start = time.perf_counter() - seconds
        self._entropy = schedule(config.ppo.entropy_schedule, config.ppo.entropy_coefficient)
        self._bar: tqdm | None = None

    @property
    def seconds(self) -> float:
        """Seconds trained so far."""
        return time.perf_counter() - self._start

    @property
    def _update(self) -> int:
        return self.model.num_timesteps // self.config.ppo.rollout_size

    def _on_training_start(self) -> None:
        self._first_update = self._update
        self._bar = tqdm(
            total=self.model._total_timesteps,
            initial=self.model.num_timesteps,
            unit="round",
            unit_scale=True,
            disable=not self.config.progress,
        )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._update > self._first_update or not self.evaluations:
            self.between()
        elif self._is_reached():
            self._stop_at_target()
        if self.stop[0] or interrupted():
            self.save()
            raise StopTraining("interrupted")

    def between(self, *, last: bool = False) -> None:
        """Evaluate and save as often as configured, and both at the ``last`` update.

        Raises :class:`StopTraining` once the target ratio is reached.
        """
        every = self.config.eval_every
        reached = False
        if last or self._update == 0 or (every and self._update % every == 0):
            reached = self.evaluate()
        # Also at update 0: from there on, whatever was cloned is kept and the run can be resumed.
        if last or reached or self._update % self.config.checkpoint_every == 0:
            self.save()
        if reached and not last:
            self._stop_at_target()

    def evaluate(self) -> bool:
        """Evaluate the deterministic policy on the held-out cells; tell whether the target ratio is reached."""
        if not self._is_measured():
            self._measure()
        return self._is_reached()

    def _is_measured(self) -> bool:
        return bool(self.evaluations) and self.evaluations[-1]["timesteps"] == self.model.num_timesteps

    def _is_reached(self) -> bool:
        target = self.config.target_ratio
        return target is not None and self._is_measured() and self.evaluations[-1]["ratio"] >= target

    def _stop_at_target(self) -> None:
        raise StopTraining(f"reached the target ratio {self.config.target_ratio:g}")

    def _act(self, observation: Observation) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            tensors = obs_as_tensor(observation, self.model.device)
            action: np.ndarray[Any, Any] = self.model.policy._predict(tensors, deterministic=True).cpu().numpy()
        return action

    def _measure(self) -> None:
        goodput = self.held_out.measure(self._act)
        ratio = float(goodput.sum() / self.held_out.reference.sum())
        self.evaluations.append(
            {
                "timesteps": self.model.num_timesteps,
                "seconds": self.seconds,
                "goodput": float(goodput.mean()),
                "ratio": ratio,
            }
        )
        for name in ("goodput", "ratio"):
            self.logger.record(f"eval/{name}", self.evaluations[-1][name])
        if self._bar is not None:
            self._bar.set_postfix(ratio=f"{ratio:.4f}")

    def _on_rollout_end(self) -> None:
        remaining = 1.0 - self.model.num_timesteps / self.model._total_timesteps
        self.model.ent_coef = self._entropy(remaining)  # type: ignore[attr-defined]
        self.logger.record("train/entropy_coefficient", self._entropy(remaining))
        share_std = self.model.policy.network.log_std.detach().exp()  # type: ignore[operator, union-attr]
        self.logger.record("train/share_std", float(share_std))
        if self._bar is not None:
            self._bar.update(self.model.num_timesteps - self._bar.n)

    def close(self) -> None:
        """Close the progress bar."""
        if self._bar is not None:
            self._bar.close()

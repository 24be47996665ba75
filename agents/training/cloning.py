"""Behaviour cloning: a start for PPO from a controller's decisions.

What a user observes does not depend on what was decided before, so the agent meets the cells that the controller met:
aggregating data under the agent's own decisions (DAgger) would draw the same cells again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from multispin_gym._validation import FloatArray
from multispin_gym.agents.agent import observe
from multispin_gym.agents.config_sections import CloningConfig
from multispin_gym.agents.policy.network import EquivariantActorCritic
from multispin_gym.agents.run_directory import AgentSpec
from multispin_gym.agents.training.callbacks import schedule
from multispin_gym.baselines import make_controller
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.physics.users import Users

# Cells whose decisions are computed at once: little memory, and a slow controller hears an interrupt within seconds.
_CHUNK = 256


@dataclass(frozen=True)
class Demonstrations:
    """What a controller decided.

    Parameters
    ----------
    observation
        Observations. Shape (N, K) each.
    action
        The controller's actions. Shape (N, 2 K), or (N, K + 1).
    reward
        The reward of each action, in the unit that the critic learns in. Shape (N,).
    """

    observation: dict[str, torch.Tensor]
    action: torch.Tensor
    reward: torch.Tensor


def demonstrate(
    spec: AgentSpec,
    config: CloningConfig,
    units: Callable[[Users], float | FloatArray],
    rng: np.random.Generator,
    between: Callable[[], None],
) -> list[Demonstrations]:
    """Let the controller to imitate decide in cells drawn from the agent's scenario; one part per number of users.

    Rewards are counted in ``units``, given the users of the rounds. ``between`` is called before every few cells, and
    may end it by raising.
    """
    controller = make_controller(spec.variant.controller if config.controller is None else config.controller)
    counts = config.num_users or (spec.num_users,)
    size = -(-config.num_cells // len(counts))
    return [_demonstrate(spec, controller, count, size, units, rng, between) for count in counts]


def _demonstrate(
    spec: AgentSpec,
    controller: Callable[[Users, Cell], Decision],
    num_users: int,
    num_cells: int,
    units: Callable[[Users], float | FloatArray],
    rng: np.random.Generator,
    between: Callable[[], None],
) -> Demonstrations:
    scenario, cell = spec.scenario, spec.cell
    codec = spec.variant.actions(cell, num_users)
    users = scenario.sample_users(rng, num_users, batch=(num_cells,))
    actions, rewards = [], []
    for start in range(0, num_cells, _CHUNK):
        between()
        some = users[start : start + _CHUNK]
        decision = controller(some, cell)
        actions.append(codec.encode(decision))
        rewards.append(compute_round(some, cell, decision).goodput / units(some))
    return Demonstrations(
        {key: torch.from_numpy(value) for key, value in observe(users, scenario.reference_power).items()},
        torch.from_numpy(np.concatenate(actions)),
        torch.tensor(np.concatenate(rewards), dtype=torch.float32),
    )


def clone(
    network: EquivariantActorCritic,
    shown: Sequence[Demonstrations],
    config: CloningConfig,
    between: Callable[[], None],
    *,
    progress: bool,
) -> None:
    """Make a network's decisions likely where a controller took them, and its values those that the controller reached.

    The network is trained in place, on minibatches of all parts in random order. The spread of the shares keeps its
    initial value: PPO explores from there. ``between`` is called before every minibatch, and may end it by raising.
    """
    learned = [parameter for name, parameter in network.named_parameters() if name != "log_std"]
    optimizer = torch.optim.Adam(learned, lr=config.learning_rate)
    rate = schedule("cosine", 1.0)
    total = config.num_epochs * sum(-(-len(part.reward) // config.batch_size) for part in shown)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(1.0 - step / total))
    with tqdm(total=total, unit="batch", desc="cloning", disable=not progress) as bar:
        for _ in range(config.num_epochs):
            for part, rows in _minibatches(shown, config.batch_size):
                between()
                observation = {key: value[rows] for key, value in part.observation.items()}
                log_prob = network.distribution(observation).log_prob(part.action[rows])
                value_error = network.value(observation).squeeze(-1) - part.reward[rows]
                # Per user, so that cells of many users do not outweigh the others.
                loss = 0.5 * value_error.square().mean() - log_prob.mean() / part.action.shape[-1]
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                scheduler.step()
                bar.update()


def _minibatches(shown: Sequence[Demonstrations], size: int) -> Iterator[tuple[Demonstrations, torch.Tensor]]:
    """Shuffle the cells within each part, and the order of all parts' minibatches."""
    batches: list[tuple[Demonstrations, torch.Tensor]] = []
    for part in shown:
        order = torch.randperm(len(part.reward))
        batches += [(part, rows) for rows in order.split(size)]  # type: ignore[no-untyped-call]
    for index in torch.randperm(len(batches)).tolist():
        yield batches[index]

"""What an agent is measured on while it trains: cells and episodes that no training run sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.agents.run_directory import AgentSpec
from multispin_gym.agents.training.env import make_native_env
from multispin_gym.baselines.reference import ROUGH_GAP, Reference
from multispin_gym.baselines.registry import make_controller
from multispin_gym.envs.game import Game, PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.variants import MULTI_SPIN, variant_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

# No training run reaches these rows: its own seeds are spread over [0, 2**31).
HELD_OUT_SEED = 2**31 + 7
Act = Callable[[Observation], np.ndarray[Any, Any]]


class HeldOutCells:
    """Cells that no training run sees, with the reference that policies are measured against.

    The reference is the certified optimum's upper bound, within 1e-4 of it, for up to 12 users, the relaxation's
    beyond, and the exact best common length in the homogeneous environment.

    Parameters
    ----------
    scenario
        The scenario.
    num_users
        Users in a cell.
    num_cells
        Number of cells.
    env_id
        The environment's id.
    seed
        Seed of the first cell's row.
    reference
        Another reference than that, by its name.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_users: int,
        num_cells: int,
        env_id: str = MULTI_SPIN.id,
        seed: int = HELD_OUT_SEED,
        reference: str | None = None,
    ) -> None:
        env: Any = make_native_env(scenario, num_users=num_users, num_envs=num_cells, env_id=env_id).unwrapped
        self.observation: Observation = env.reset(seed=seed)[0]
        self.users: Users = env.users
        self.cell: Cell = env.cell
        variant = variant_of(env_id)
        self.actions = variant.actions(self.cell, num_users)
        chosen = Reference.of_actions(variant.action_set, num_users, ROUGH_GAP)
        chosen = chosen if reference is None else Reference(reference, ROUGH_GAP)
        self.reference_name, self.reference_text = chosen.name, chosen.description
        self.reference: FloatArray = chosen.goodput(self.users, self.cell)

    def goodput(self, action: np.ndarray[Any, Any]) -> FloatArray:
        """Expected goodput of actions.

        Parameters
        ----------
        action
            One action per cell.

        Returns
        -------
        numpy.ndarray
            Goodputs, token/s. Shape (num_cells,).
        """
        return compute_round(self.users, self.cell, self.actions.decode(action)).goodput

    def measure(self, act: Act) -> FloatArray:
        """Expected goodput of a policy in every cell.

        Parameters
        ----------
        act
            The policy: a function from observations to actions.

        Returns
        -------
        numpy.ndarray
            Goodputs, token/s, of which the ratio to ``reference`` is one of sums. Shape (num_cells,).
        """
        return self.goodput(act(self.observation))


class HeldOutEpisodes:
    """Episodes that no training run sees, played for the policy: where what is met depends on what is decided.

    The reference is the goodput of the variant's controller, which plays from the same seeds.

    Parameters
    ----------
    scenario
        The scenario.
    num_users
        Users in a cell.
    num_cells
        Number of episodes, of one cell each.
    env_id
        The environment's id.
    seed
        Seed of the first cell's row.
    """

    def __init__(
        self, scenario: Scenario, num_users: int, num_cells: int, env_id: str, seed: int = HELD_OUT_SEED
    ) -> None:
        variant = variant_of(env_id)
        self._game = game = Game(variant, scenario, num_users=num_users, num_rows=num_cells)
        for row in range(num_cells):
            game.seed(row, seed + row)
        game.begin(np.arange(num_cells))
        self._start = game.state()
        self.reference_name = variant.controller
        controller = make_controller(variant.controller)
        self.reference = self._play(lambda: game.play_decision(controller(game.users, game.cell)))

    def _play(self, play: Callable[[], PlayedRound]) -> FloatArray:
        """Tokens over time of each episode, from its start to its end."""
        game = self._game
        game.restore(self._start)
        tokens, seconds, under_way = np.zeros(game.num_rows), np.zeros(game.num_rows), ~game.ended
        while under_way.any():
            outcome = play().outcome
            tokens += np.where(under_way, outcome.tokens.sum(axis=-1), 0.0)
            seconds += np.where(under_way, outcome.latency, 0.0)
            game.advance()
            under_way &= ~game.ended
        return tokens / seconds

    def measure(self, act: Act) -> FloatArray:
        """Goodput of a policy over each episode.

        Parameters
        ----------
        act
            The policy: a function from observations to actions.

        Returns
        -------
        numpy.ndarray
            Goodputs, token/s. Shape (num_cells,).
        """
        return self._play(lambda: self._game.play(act(self._game.observe())))


def held_out(spec: AgentSpec, num_cells: int) -> HeldOutCells | HeldOutEpisodes:
    """Return what an agent is measured on while it trains: single rounds where draws are exogenous, else episodes."""
    kind = HeldOutCells if spec.variant.exogenous else HeldOutEpisodes
    return kind(spec.scenario, spec.num_users, num_cells, spec.env_id)

"""Trained agents: loaded from a run directory, called like a controller."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from multispin_gym._validation import shown_name, shown_path
from multispin_gym.agents.policy.distribution import ActionLayout
from multispin_gym.agents.policy.network import EquivariantActorCritic
from multispin_gym.agents.policy.torch_physics import CellTerms
from multispin_gym.agents.pretrained_agents import PREFIX, pretrained_folder
from multispin_gym.agents.run_directory import AgentSpec, RunDirectoryError, read_spec, read_weights
from multispin_gym.envs.observations import OBSERVATION_KEYS, Observation
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def observe(users: Users, reference_power: float) -> Observation:
    """What an environment would show of users (..., K), their gains relative to a transmit power of so many W.

    Not clipped to a scenario's bounds: an agent is also asked about users that its scenario does not have.
    """
    shown = {
        "acceptance_rate": users.acceptance_rate,
        "channel_gain_db": 10.0 * np.log10(users.received_power / reference_power),
        "drafting_speed": users.drafting_speed,
    }
    return {key: shown[key].astype(np.float32) for key in OBSERVATION_KEYS}


def build_network(
    spec: AgentSpec, cell: Cell | None = None, reference_power: float | None = None
) -> EquivariantActorCritic:
    """Build the untrained network that a specification describes.

    By default it acts in the cell trained in, with gains relative to the reference power (W) of its scenario. A cell
    that allows none of the draft lengths trained for is refused with a ``ValueError``.
    """
    trained = spec.cell
    cell = trained if cell is None else cell
    learned, layout = (
        ActionLayout(
            where.min_draft_length, where.max_draft_length, common_length=spec.variant.action_set == "common_length"
        )
        for where in (trained, cell)
    )
    power = spec.scenario.reference_power if reference_power is None else reference_power
    return EquivariantActorCritic(CellTerms(cell, power), layout, spec.policy, learned)


class Agent:
    """A trained agent: deterministic, for any number of users and any batch shape.

    Parameters
    ----------
    name
        Name for tables.
    spec
        What the agent was trained for.
    network
        Its network.
    """

    def __init__(self, name: str, spec: AgentSpec, network: EquivariantActorCritic) -> None:
        self.name = name
        self.spec = spec
        self.network = network.eval()
        self._elsewhere: Agent | None = None

    def in_cell(self, cell: Cell, reference_power: float | None = None) -> Agent:
        """Return the same agent with its features computed for another cell.

        Parameters
        ----------
        cell
            The cell to act in. Draft lengths are chosen among those that it and the cell trained in allow.
        reference_power
            The transmit power that observed gains are relative to, W; by default that of the scenario trained on.

        Returns
        -------
        Agent
            An agent with the same weights.
        """
        network = build_network(self.spec, cell, reference_power)
        network.load_state_dict(self.network.state_dict())
        return Agent(self.name, self.spec, network)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Choose actions: the likeliest draft lengths, and the mean share logits given them.

        Parameters
        ----------
        observation
            The environments' three arrays, unscaled. Shape (..., K) each.

        Returns
        -------
        numpy.ndarray
            Actions in the environments' box. Shape (..., 2 K), or (..., K + 1) for an agent of the homogeneous one.

        Raises
        ------
        ValueError
            If an array is missing, or their shapes differ.
        """
        missing = [key for key in OBSERVATION_KEYS if key not in observation]
        if missing:
            raise ValueError(f"the observation lacks {', '.join(missing)}; it has {', '.join(observation)}")
        arrays = {key: np.asarray(observation[key], dtype=np.float32) for key in OBSERVATION_KEYS}
        shape = arrays["acceptance_rate"].shape
        if not shape or any(array.shape != shape for array in arrays.values()):
            shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
            raise ValueError(f"the observation's arrays must share one shape (..., K), got {shapes}")
        with torch.no_grad():
            tensors = {key: torch.tensor(array.reshape(-1, shape[-1])) for key, array in arrays.items()}
            action = self.network.distribution(tensors).mode().clamp(-1.0, 1.0).numpy()
        return np.ascontiguousarray(action.reshape(*shape[:-1], action.shape[-1]))

    def _for(self, cell: Cell, power: float) -> Agent:
        """Return this agent made for a cell, and keep the last one: rebuilding it takes longer than a decision."""
        if cell == self.network.terms.cell:
            return self
        if self._elsewhere is None or self._elsewhere.network.terms.cell != cell:
            self._elsewhere = self.in_cell(cell, power)
        return self._elsewhere

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Decide like a controller.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system; it may differ from the one trained in.

        Returns
        -------
        Decision
            Draft lengths and shares. Shape (..., K).
        """
        power = self.network.terms.reference_power
        agent = self._for(cell, power)
        codec = self.spec.variant.actions(cell, users.num_users)
        return codec.decode(agent.act(observe(users, power)))


def load_agent(path: str | Path, *, cell: Cell | None = None) -> Agent:
    """Load a trained agent.

    Parameters
    ----------
    path
        Its run directory, or ``"pretrained:NAME"`` for one of :func:`list_pretrained`.
    cell
        The cell to act in; by default the one that the agent was trained in.

    Returns
    -------
    Agent
        The agent, named after the directory, or as it was asked for where it is a pretrained one.

    Raises
    ------
    RunDirectoryError
        If the directory is missing, truncated or foreign.
    ValueError
        If there is no pretrained agent of the name, or the cell allows none of the draft lengths that the agent was
        trained for.

    Examples
    --------
    >>> load_agent("no/such/run")
    Traceback (most recent call last):
        ...
    multispin_gym.agents.run_directory.RunDirectoryError: no/such/run is not a run directory: there is no such directory
    """
    if str(path).startswith(PREFIX):
        with resources.as_file(pretrained_folder(str(path).removeprefix(PREFIX))) as folder:
            return _load(folder, str(path), cell)
    return _load(Path(path), Path(path).resolve().name, cell)


def _load(folder: Path, name: str, cell: Cell | None) -> Agent:
    spec = read_spec(folder)
    weights = read_weights(folder)
    # A network of any size is built without its weights first.
    with torch.device("meta"):
        expected = {key: tuple(tensor.shape) for key, tensor in build_network(spec, cell).state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    for key in (*expected, *found):
        if found.get(key) != expected.get(key):
            where = f"the weights in {shown_path(folder)} do not fit its configuration"
            wanted, got = (f"of shape {shapes[key]}" if key in shapes else "missing" for shapes in (expected, found))
            raise RunDirectoryError(f"{where}: {shown_name(key)} must be {wanted}, and is {got}")
    network = build_network(spec, cell)
    network.load_state_dict(weights)
    return Agent(name, spec, network)

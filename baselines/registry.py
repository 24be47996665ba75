"""All controllers by name: what benchmarks, evaluations and examples call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from multispin_gym._validation import check_choice, check_integer, nearest
from multispin_gym.baselines import agnostic
from multispin_gym.baselines.certificate import certify
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.cell import Cell
from multispin_gym.objectives import Objective
from multispin_gym.rounds import Decision
from multispin_gym.users import Users

Rule = Callable[[Users, Cell], Decision]


@dataclass(frozen=True)
class Controller:
    """A named rule that decides a round from what the environment shows.

    Parameters
    ----------
    name
        The name in the registry.
    summary
        One line on what the controller does.
    rule
        The function behind it.
    """

    name: str
    summary: str
    rule: Rule

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Decide one round, or a batch of rounds.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system.

        Returns
        -------
        Decision
            Draft lengths and bandwidth shares. Shape (..., K).
        """
        return self.rule(users, cell)


def _random(seed: int = 0) -> Rule:
    rng = np.random.default_rng(check_integer("seed", seed, low=0))
    return lambda users, cell: agnostic.random_decision(users, cell, rng)


def _uniform_fixed(draft_length: int = 4) -> Rule:
    length = check_integer("draft_length", draft_length, low=0)
    return lambda users, cell: agnostic.uniform_fixed(users, cell, length)


def _heterogeneous(objective: str = "sum", weights: Sequence[float] | None = None) -> Rule:
    return partial(heterogeneous, objective=Objective(objective, weights))


def _homogeneous(objective: str = "sum", weights: Sequence[float] | None = None) -> Rule:
    return partial(homogeneous, objective=Objective(objective, weights))


def _exact(
    gap: float = 1e-6,
    time_limit: float | None = None,
    objective: str = "sum",
    weights: Sequence[float] | None = None,
) -> Rule:
    goal = Objective(objective, weights)
    return lambda users, cell: certify(users, cell, gap, time_limit, goal).decision


_FACTORIES: dict[str, tuple[str, Callable[..., Rule]]] = {
    "server_only": ("nobody drafts; the server decodes one token a round for each user", lambda: agnostic.server_only),
    "random": ("random lengths and shares (option: seed)", _random),
    "uniform_fixed": ("equal shares and one given length (option: draft_length, 4)", _uniform_fixed),
    "uniform_best": ("equal shares and the best common length", lambda: agnostic.uniform_best),
    "tk_slt": ("equal shares, each user its own single-user optimum", lambda: agnostic.tk_slt),
    "homogeneous": ("the best common length, with shares that let all finish together", _homogeneous),
    "heterogeneous": ("own length for each user: the relaxation in closed form, rounded", _heterogeneous),
    "exact": ("the certified optimum by branch and bound (options: gap, time_limit)", _exact),
}


def list_controllers() -> list[str]:
    """Names of all controllers, from the least informed to the best.

    Returns
    -------
    list of str
        Names for :func:`make_controller`.

    Examples
    --------
    >>> list_controllers()[:2]
    ['server_only', 'random']
    """
    return list(_FACTORIES)


def make_controller(name: str, **options: Any) -> Controller:
    """Make a controller by name.

    Parameters
    ----------
    name
        One of :func:`list_controllers`.
    **options
        Options of that controller: ``seed`` for ``random``, ``draft_length`` for ``uniform_fixed``; ``objective``
        (``"sum"`` or ``"proportional_fair"``) and ``weights`` for ``homogeneous``, ``heterogeneous`` and ``exact``;
        ``gap`` and ``time_limit`` for ``exact``.

    Returns
    -------
    Controller
        A callable ``(users, cell) -> Decision`` for any batch shape.

    Raises
    ------
    ValueError
        If the name is unknown or an option is out of range.
    TypeError
        If the controller has no such option.

    Examples
    --------
    >>> make_controller("uniform_fixed", draft_length=3).name
    'uniform_fixed'
    """
    summary, factory = _FACTORIES[check_choice("controller", name, _FACTORIES)]
    known = list(inspect.signature(factory).parameters)
    for option in options:
        if option not in known:
            takes = f"takes {', '.join(known)}" if known else "takes no options"
            raise TypeError(f"controller {name!r} {takes}; got {option!r}.{nearest(option, known)}")
    return Controller(name, summary, factory(**options))

"""All controllers by name: what benchmarks, evaluations and examples call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray, check_choice, check_integer, nearest
from multispin_gym.baselines.certificate import exact
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.long_run import LongRunPolicy
from multispin_gym.baselines.protocols import Detailed, Preparable, Rule
from multispin_gym.baselines.random_decision import random_decision
from multispin_gym.baselines.server_only import server_only
from multispin_gym.baselines.tk_slt import tk_slt
from multispin_gym.baselines.uniform import uniform_best, uniform_fixed
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


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
        The function behind it, which may be :class:`~multispin_gym.baselines.protocols.Preparable` too.
    """

    name: str
    summary: str
    rule: Rule

    @property
    def details(self) -> Mapping[str, FloatArray]:
        """What the preparation found, by name; arrays of the episodes' batch shape, none without a preparation."""
        return self.rule.details if isinstance(self.rule, Detailed) else {}

    def prepare(self, users: Users, scenario: Scenario) -> Controller:
        """Get ready for episodes with given users; most controllers decide each round by itself and return themselves.

        Parameters
        ----------
        users
            The users of each episode with their mean channel gains. Shape (..., K).
        scenario
            The scenario that they come from.

        Returns
        -------
        Controller
            A controller for rounds of these users, of shape (..., K) or with further batch axes in front.
        """
        return replace(self, rule=self.rule.prepare(users, scenario)) if isinstance(self.rule, Preparable) else self

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
    return partial(random_decision, rng=np.random.default_rng(check_integer("seed", seed, low=0)))


def _uniform_fixed(draft_length: int | None = None) -> Rule:
    length = None if draft_length is None else check_integer("draft_length", draft_length, low=0)
    return partial(uniform_fixed, draft_length=length)


def _for_an_objective(rule: Callable[..., Decision]) -> Callable[..., Rule]:
    """Make the rule's objective a pair of options."""

    def make(objective: str = "sum", weights: Sequence[float] | None = None) -> Rule:
        return partial(rule, objective=Objective(objective, weights))

    return make


def _exact(
    gap: float = 1e-6,
    time_limit: float | None = None,
    objective: str = "sum",
    weights: Sequence[float] | None = None,
) -> Rule:
    return partial(exact, gap=gap, time_limit=time_limit, objective=Objective(objective, weights))


_FACTORIES: dict[str, tuple[str, Callable[..., Rule]]] = {
    "server_only": ("nobody drafts; the server decodes one token a round for each user", lambda: server_only),
    "random": ("random lengths and shares (option: seed)", _random),
    "uniform_fixed": (
        "equal shares and one given length (option: draft_length; 4 where the cell allows it)",
        _uniform_fixed,
    ),
    "uniform_best": ("equal shares and the best common length", lambda: uniform_best),
    "tk_slt": ("equal shares, each user its own single-user optimum", lambda: tk_slt),
    "homogeneous": (
        "the best common length, with shares that let all finish together",
        _for_an_objective(homogeneous),
    ),
    "heterogeneous": (
        "own length for each user: the relaxation in closed form, rounded",
        _for_an_objective(heterogeneous),
    ),
    "long_run": ("the most tokens per second over a run (options: lengths, samples, seed)", LongRunPolicy),
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

    ``long_run`` plans for the users of an episode once its ``prepare`` has been called with them; until then it
    maximises each round's own goodput.

    Parameters
    ----------
    name
        One of :func:`list_controllers`.
    **options
        Options of that controller: ``seed`` for ``random``, ``draft_length`` for ``uniform_fixed``; ``objective``
        (``"sum"`` or ``"proportional_fair"``) and ``weights`` for ``homogeneous``, ``heterogeneous`` and ``exact``;
        ``gap`` and ``time_limit`` for ``exact``; ``lengths``, ``samples`` and ``seed`` for ``long_run``.

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

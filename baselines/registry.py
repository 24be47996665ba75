"""All controllers by name: what benchmarks, evaluations and examples call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray, check_choice, check_integer, nearest
from multispin_gym.baselines import agnostic
from multispin_gym.baselines.certificate import certify
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.long_run import long_run
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Rule = Callable[[Users, Cell], Decision]
Preparation = Callable[[Users, Scenario], tuple[Rule, dict[str, FloatArray]]]


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
    preparation
        What turns the users of an episode and their scenario into a rule and its details, for the controllers that
        need to know the law of the rounds to come.
    details
        What the preparation found, by name; arrays of the episodes' batch shape.
    """

    name: str
    summary: str
    rule: Rule
    preparation: Preparation | None = None
    details: Mapping[str, FloatArray] = field(default_factory=dict)

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
        if self.preparation is None:
            return self
        rule, details = self.preparation(users, scenario)
        return Controller(self.name, self.summary, rule, None, details)

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


def _uniform_fixed(draft_length: int | None = None) -> Rule:
    if draft_length is None:
        return lambda users, cell: agnostic.uniform_fixed(users, cell, _usual_length(cell))
    length = check_integer("draft_length", draft_length, low=0)
    return lambda users, cell: agnostic.uniform_fixed(users, cell, length)


def _usual_length(cell: Cell) -> int:
    """Four, or the allowed length that is nearest."""
    return min(max(4, cell.min_draft_length), cell.max_draft_length)


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


class _LongRun:
    """The long-run policy before it knows whom it serves."""

    def __init__(self, lengths: str = "heterogeneous", samples: int = 256, seed: int = 0) -> None:
        self._rule = _LENGTHS[check_choice("lengths", lengths, _LENGTHS)]
        self._lengths = lengths
        self._samples = check_integer("samples", samples, low=1)
        self._seed = check_integer("seed", seed, low=0)

    def __call__(self, users: Users, cell: Cell) -> Decision:
        # Without the law of the rounds to come each round's own goodput is all there is to maximise.
        return self._rule(users, cell)

    def prepare(self, users: Users, scenario: Scenario) -> tuple[Rule, dict[str, FloatArray]]:
        found = long_run(users, scenario, self._lengths, self._samples, self._seed)
        rule = partial(self._rule, time_price=found.time_price)
        return rule, {"time_price": found.time_price, "residual": found.residual, "greedy": found.greedy}


_LENGTHS = {"heterogeneous": heterogeneous, "homogeneous": homogeneous}


_FACTORIES: dict[str, tuple[str, Callable[..., Rule]]] = {
    "server_only": ("nobody drafts; the server decodes one token a round for each user", lambda: agnostic.server_only),
    "random": ("random lengths and shares (option: seed)", _random),
    "uniform_fixed": (
        "equal shares and one given length (option: draft_length; 4 where the cell allows it)",
        _uniform_fixed,
    ),
    "uniform_best": ("equal shares and the best common length", lambda: agnostic.uniform_best),
    "tk_slt": ("equal shares, each user its own single-user optimum", lambda: agnostic.tk_slt),
    "homogeneous": ("the best common length, with shares that let all finish together", _homogeneous),
    "heterogeneous": ("own length for each user: the relaxation in closed form, rounded", _heterogeneous),
    "long_run": ("the most tokens per second over a run (options: lengths, samples, seed)", _LongRun),
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
    made = factory(**options)
    if isinstance(made, _LongRun):
        return Controller(name, summary, made, made.prepare)
    return Controller(name, summary, made)

"""All controllers by name: what benchmarks, evaluations and examples call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from multispin_gym._validation import check_choice, check_integer, check_options
from multispin_gym.baselines.certificate import check_limits, exact
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.long_run import LongRunPolicy
from multispin_gym.baselines.multi_spin import Grid, multi_spin
from multispin_gym.baselines.nested import nested, nested_polished
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.protocols import Rule
from multispin_gym.baselines.random_decision import random_decision
from multispin_gym.baselines.server_only import server_only
from multispin_gym.baselines.tk_slt import tk_slt
from multispin_gym.baselines.uni_bw import uni_bw
from multispin_gym.baselines.uniform import fixed_bw_l, uniform_best, uniform_fixed
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def _random(seed: int = 0) -> Rule:
    return partial(random_decision, rng=np.random.default_rng(check_integer("seed", seed, low=0)))


def _uniform_fixed(draft_length: int | None = None) -> Rule:
    length = None if draft_length is None else check_integer("draft_length", draft_length, low=0)
    return partial(uniform_fixed, draft_length=length)


@dataclass(frozen=True)
class _WithObjective:
    """A rule with its objective, whose weights go by the places of the users."""

    rule: Callable[..., Decision]
    objective: Objective
    takes_absent: ClassVar[bool] = True

    def __call__(self, users: Users, cell: Cell) -> Decision:
        return decide_present(self.rule, users, cell, self.objective)


@dataclass(frozen=True)
class _Exact:
    """The certified optimum, whose time limit is for all cells together."""

    gap: float
    time_limit: float | None
    objective: Objective
    takes_absent: ClassVar[bool] = True

    def __call__(self, users: Users, cell: Cell) -> Decision:
        return exact(users, cell, self.gap, self.time_limit, self.objective)


def _for_an_objective(rule: Callable[..., Decision]) -> Callable[..., Rule]:
    """Make the rule's objective a pair of options."""

    def make(objective: str = "sum", weights: Sequence[float] | None = None) -> Rule:
        return _WithObjective(rule, Objective(objective, weights))

    return make


def _multi_spin(
    deadlines: int = Grid.deadlines,
    multipliers: int = Grid.multipliers,
    smallest_multiplier: float = Grid.smallest_multiplier,
    deadline_spacing: str = Grid.deadline_spacing,
    multiplier_spacing: str = Grid.multiplier_spacing,
) -> Rule:
    grid = Grid(deadlines, multipliers, smallest_multiplier, deadline_spacing, multiplier_spacing)
    return partial(multi_spin, grid=grid)


def _exact(
    gap: float = 1e-6,
    time_limit: float | None = None,
    objective: str = "sum",
    weights: Sequence[float] | None = None,
) -> Rule:
    return _Exact(*check_limits(gap, time_limit), Objective(objective, weights))


__all__ = [
    "BUILT_IN",
    "Controller",
    "list_controllers",
    "make_controller",
    "register_controller",
    "unregister_controller",
]

_FACTORIES: dict[str, tuple[str, Callable[..., Rule]]] = {
    "server_only": ("nobody drafts; the server decodes one token a round for each user", lambda: server_only),
    "random": ("random lengths and shares (option: seed)", _random),
    "uniform_fixed": (
        "equal shares and one given length (option: draft_length; 4 where the cell allows it)",
        _uniform_fixed,
    ),
    "fixed_bw_l": ("equal shares and eight tokens for everybody: the paper's Fixed BW&L", lambda: fixed_bw_l),
    "uniform_best": ("equal shares and the best common length", lambda: uniform_best),
    "tk_slt": ("equal shares, each user's length as if it were alone at the server", lambda: tk_slt),
    "uni_bw": ("equal shares and the best own lengths on them, exact: the paper's Uni-BW", lambda: uni_bw),
    "homogeneous": (
        "the best common length, with shares that let all finish together",
        _for_an_objective(homogeneous),
    ),
    "multi_spin": (
        "the paper's Algorithm 1: own lengths by a grid of latencies and multipliers (options: deadlines, multipliers, "
        "smallest_multiplier, deadline_spacing, multiplier_spacing)",
        _multi_spin,
    ),
    "nested": (
        "lengths nested under one deadline: what each user has ready by then on an equal share; the best deadline",
        _for_an_objective(nested),
    ),
    "nested_polished": (
        "nested, then the best move of one user's token until none gains",
        _for_an_objective(nested_polished),
    ),
    "heterogeneous": (
        "own length for each user: the relaxation by Newton's iteration, rounded and polished",
        _for_an_objective(heterogeneous),
    ),
    "long_run": ("the most tokens per second over a run (options: lengths, samples, seed)", LongRunPolicy),
    "exact": ("the certified optimum by branch and bound (options: gap, time_limit)", _exact),
}


# The names that come with the library.
BUILT_IN = frozenset(_FACTORIES)


def register_controller(name: str, rule_or_factory: Callable[..., Any], summary: str = "") -> None:
    """Give a controller of one's own a name, by which everything in this process knows it.

    Parameters
    ----------
    name
        A new name.
    rule_or_factory
        A function of users and cell that returns a decision; or one that returns such a function and whose arguments,
        all with defaults, are the controller's options.
    summary
        One line on what the controller does.

    Raises
    ------
    ValueError
        If the name is taken, or contains a character with a meaning of its own in commands.
    TypeError
        If the function takes neither users and cell nor options only.

    Examples
    --------
    >>> from multispin_gym.baselines.uniform import uniform_fixed
    >>> register_controller("two_drafts", lambda users, cell: uniform_fixed(users, cell, 2), "two drafts for each")
    >>> make_controller("two_drafts").summary
    'two drafts for each'
    >>> unregister_controller("two_drafts")
    """
    if not isinstance(name, str) or not name.strip() or set(name) & set("/\\: "):
        raise ValueError(f"name must be a word without spaces, slashes and colons, got {name!r}")
    if name in _FACTORIES:
        raise ValueError(f"the name {name!r} is taken: {_FACTORIES[name][0] or 'a registered controller'}")
    if not callable(rule_or_factory):
        raise TypeError(f"rule_or_factory must be a function, got {rule_or_factory!r}")
    _FACTORIES[name] = (summary, _factory_of(rule_or_factory))


def unregister_controller(name: str) -> None:
    """Forget a controller of one's own.

    Parameters
    ----------
    name
        A name given by :func:`register_controller`.

    Raises
    ------
    ValueError
        If the name is unknown, or that of a controller that comes with the library.
    """
    check_choice("controller", name, [own for own in _FACTORIES if own not in BUILT_IN])
    del _FACTORIES[name]


def _factory_of(rule_or_factory: Callable[..., Any]) -> Callable[..., Rule]:
    """Tell a rule from a factory by its arguments: a factory can be called with none."""
    signature = inspect.signature(rule_or_factory)
    try:
        signature.bind()
    except TypeError:
        pass
    else:
        return rule_or_factory
    try:
        signature.bind(None, None)
    except TypeError:
        raise TypeError(
            f"rule_or_factory must take users and cell, or options with defaults only; it takes {signature}"
        ) from None
    return partial(_itself, rule_or_factory)


def _itself(rule: Rule) -> Rule:
    return rule


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
        (``"sum"`` or ``"proportional_fair"``) and ``weights`` for ``homogeneous``, ``nested``, ``nested_polished``,
        ``heterogeneous`` and ``exact``; the grid of ``multi_spin``, see
        :class:`multispin_gym.baselines.multi_spin.Grid`; ``gap`` and ``time_limit`` for ``exact``; ``lengths``,
        ``samples`` and ``seed`` for ``long_run``.

    Returns
    -------
    Controller
        A callable ``(users, cell) -> Decision`` for any batch shape. Absent users get nothing, and the others are
        decided on as if there were no more; only ``long_run``, once prepared, refuses absent users with a ValueError.
        Users may have acceptance curves, but for ``multi_spin`` and a prepared ``long_run``.

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
    check_options(f"controller {name!r}", options, list(inspect.signature(factory).parameters))
    return Controller(name, summary, factory(**options))

"""How long a decision takes: controllers beside an agent and beside a general solver, over users, batches and servers.

Everything is timed in one process. ``python benchmarks/decision_time.py --help``. Writes decision_time.json and
prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from _report import head, table
from _study import Study, draw_users, run
from solver_peers import slsqp

from multispin_gym import AffineVerification, Cell, Scenario, load_scenario
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.reference import MOST_USERS_CERTIFIED
from multispin_gym.baselines.solver.switch import compiled_rows, plain
from multispin_gym.scenarios.measured_tables import measured_verification

Form = Literal["own", "per_draft", "padded", "ragged", "table_padded", "table_ragged"]
# The peer's time grows with the cube of the users.
SLSQP, MOST_USERS_OF_A_PEER = "slsqp", 32
# Cells that take turns where decisions are timed one by one.
SINGLE_CELLS = 32


@dataclass(frozen=True, kw_only=True)
class DecisionTime(Study):
    """Time decisions on one thread: process time, which other load on the machine does not stretch, median of several.

    Writes decision_time.json.
    """

    agent: str | None = None
    """Run directory, or pretrained:NAME: an agent beside the controllers, in its own scenario."""
    scenario: str = "default"
    """Where there is no agent: a preset or a scenario file."""
    controllers: tuple[str, ...] = (
        "uniform_best",
        "homogeneous",
        "nested",
        "nested_polished",
        "heterogeneous",
        "exact",
    )
    """Controllers beside it; exact, the certificate, for up to 12 users."""
    forms: tuple[Form, ...] = ("own",)
    """The scenario's own server, or one whose time counts drafts, padded tokens or tokens, or is a measured table."""
    opting_out: bool = False
    """Let users opt out, whether or not the scenario does."""
    without_numba: bool = False
    """Time what is compiled a second time as NumPy alone."""
    peers: bool = False
    """Also time SLSQP with hand-written derivatives, for the relaxation of a ragged batch, one cell at a time."""
    num_users: tuple[int, ...] = (4, 8, 32, 128)
    """Numbers of users."""
    batches: tuple[int, ...] = (1, 256)
    """Rounds decided at once."""
    entries: int = 4_000_000
    """Rounds times users beyond which a batch is left out."""
    seconds: float = 0.5
    """Time given to each entry; at least three repetitions are made, single decisions of several cells in turn."""
    output: Path = Path("results/decision_time")


def median_time(calls: Sequence[Callable[[], Any]], seconds: float) -> float:
    """Median process time of calls that are made in turn, s."""
    calls[0]()
    taken: list[float] = []
    for call in itertools.cycle(calls):
        if len(taken) >= 3 and sum(taken) >= seconds:
            break
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def in_form(cell: Cell, form: Form, num_users: int) -> Cell:
    """The cell with another server, whose time without a draft is the same where it is no measured table."""
    if form == "own":
        return cell
    server: Any
    if form.startswith("table_"):
        table_batching: Any = form.removeprefix("table_")
        server = measured_verification("a100_llama2_7b", batching=table_batching)
    else:
        half = 0.5 * float(cell.verification.of_batch(num_users).time(float(num_users)))
        per_user = half / num_users
        if form == "per_draft":
            server = AffineVerification(half, per_draft=per_user)
        else:
            batching: Any = form
            server = AffineVerification(half, per_token=per_user, batching=batching)
    return dataclasses.replace(cell, verification=server)


def entries_of(options: DecisionTime, agent: Any) -> dict[str, tuple[Any, Callable[[], AbstractContextManager[None]]]]:
    """What is timed, by name: a rule, and where it is called."""
    entries: dict[str, tuple[Any, Callable[[], AbstractContextManager[None]]]] = {}
    if agent is not None:
        entries["agent"] = agent, nullcontext
    for name in options.controllers:
        entries[name] = make_controller(name), nullcontext
        if options.without_numba:
            entries[f"{name}, NumPy"] = make_controller(name), plain
    if options.peers:
        entries[SLSQP] = slsqp, nullcontext
    return entries


def fits(name: str, form: Form, num_users: int, batch: int) -> bool:
    """Whether an entry is timed there: certificates of small cells only, and what the peer was written for."""
    if name.partition(",")[0] == "exact":
        return num_users <= MOST_USERS_CERTIFIED
    return name != SLSQP or (form == "ragged" and batch == 1 and num_users <= MOST_USERS_OF_A_PEER)


def timed(
    options: DecisionTime, agent: Any, scenario: Scenario, form: Form, num_users: int, batch: int
) -> dict[str, Any]:
    """One row: milliseconds per round of everything that is timed there."""
    cell = in_form(scenario.cell, form, num_users)
    if options.opting_out:
        cell = dataclasses.replace(cell, min_draft_length=0)
    # A cell alone may be an easy one: several take turns.
    count = SINGLE_CELLS if batch == 1 else 1
    drawn = draw_users(scenario, count * batch, 0, num_users)
    parts = [drawn[index * batch : (index + 1) * batch] for index in range(count)]
    times = {}
    for name, (rule, where) in entries_of(options, agent).items():
        if fits(name, form, num_users, batch):
            calls = [partial(rule, users[0] if name == SLSQP else users, cell) for users in parts]
            with where():
                times[name] = 1e3 * median_time(calls, options.seconds) / batch
    return {"form": form, "num_users": num_users, "batch": batch, "milliseconds_per_round": times}


def study(options: DecisionTime, command: str) -> None:
    agent, scenario = None, load_scenario(options.scenario)
    if options.agent is not None:
        import torch

        from multispin_gym.agents import load_agent

        torch.set_num_threads(1)
        agent = load_agent(options.agent)
        scenario = agent.spec.scenario
    places = itertools.product(options.forms, options.num_users, options.batches)
    rows = [
        timed(options, agent, scenario, form, num_users, batch)
        for form, num_users, batch in places
        if batch == 1 or num_users * batch <= options.entries
    ]
    compiled = compiled_rows() is not None
    options.write({"decision_time.json": {**head(command), "scenario": scenario.name, "numba": compiled, "rows": rows}})
    names = list(dict.fromkeys(name for row in rows for name in row["milliseconds_per_round"]))
    lines = []
    for row in rows:
        times = row["milliseconds_per_round"]
        texts = [f"{times[name]:.3g}" if name in times else "" for name in names]
        lines.append([row["form"], str(row["num_users"]), str(row["batch"]), *texts])
    print(table(["server", "K", "batch", *(f"{name}, ms per round" for name in names)], lines), end="")


def main(arguments: Sequence[str] | None = None) -> int:
    return run(DecisionTime, study, arguments)


if __name__ == "__main__":
    sys.exit(main())

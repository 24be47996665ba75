"""What careful rules reach in a task with a clock, how far that is from who knows the truth, and what they cost.

``python benchmarks/clock/headroom.py --help``. Writes headroom_TASK.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _opponent import Opponent
from _report import head, interval_text, table
from _study import StudyInPieces, run
from deadline_bound import bounds_of
from reference_load import references_of

from multispin_gym import Decision, Scenario, load_scenario
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.envs.shared import round_info
from multispin_gym.envs.variants import DEADLINE, HIDDEN, SERVE, STALE, Variant
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.service.loop import begin_episodes, decide, play_service
from multispin_gym.scenarios import change_scenario
from multispin_gym.statistics import mean_estimate, regret_estimate

TASKS = {"deadline": DEADLINE, "stale": STALE, "hidden": HIDDEN, "serve": SERVE}
# What a careful rule leaves that is less than this part of what the best clairvoyant one has is not worth learning.
WORTH_LEARNING = 0.02
_WARM_UP = 3
# Not a rule, but what nobody can have more of where requests have deadlines.
BOUND = "bound"


@dataclass(frozen=True, kw_only=True)
class Headroom(StudyInPieces):
    """Tune every rule on validation seeds, play it on others, and time its decisions.

    Each rule is a piece, with the same number of trials at most. The best options are those with the largest mean
    return on the validation seeds. Writes headroom_TASK.json and headroom_TASK.md, or with a number of users K
    headroom_TASK_K.json and .md.
    """

    task: Literal["deadline", "stale", "hidden", "serve"]
    """Which task."""
    scenario: str | None = None
    """A scenario with a clock; by default the task's own."""
    num_users: int | None = None
    """Users in the cell; by default the scenario's. Loads and deadlines are relative to what a cell of as many
    delivers, which is measured first."""
    labels: tuple[str, ...] = ()
    """Rules to play, by their names in the table; by default all."""
    trials: int = 12
    """Most trials of each rule."""
    validation_episodes: int = 32
    """Episodes of each trial."""
    validation_seed: int = 500_000
    """Validation episode i is seeded with VALIDATION_SEED + i."""
    episodes: int = 100
    """Episodes of each tuned rule."""
    seed: int = 1000
    """Episode i is seeded with SEED + i."""
    batch: int = 1024
    """Cells decided at once in the measurement of time, beside single ones."""
    output: Path = Path("results/clock")


def opponents_of(task: str) -> dict[str, Opponent]:
    """The rules of a task by their labels."""
    return {rule.label: rule for rule in importlib.import_module(f"_{task}_opponents").OPPONENTS}


def scenario_of(task: str, options: Mapping[str, Any]) -> Scenario:
    """The scenario that is played, and what is timed in it, with the loads of so many users."""
    own = load_scenario(options["scenario"] or task)
    scenario = dataclasses.replace(own, num_users=options["num_users"] or own.num_users)
    return with_references(scenario, options["references"])


def with_references(scenario: Scenario, references: Mapping[str, Any]) -> Scenario:
    """The scenario with other figures that loads and deadlines are relative to."""
    figures = {f"clock.requests.{key}": estimate["mean"] for key, estimate in references.items()}
    return change_scenario(scenario, figures) if figures else scenario


def references(scenario: Scenario, options: Headroom) -> dict[str, Any]:
    """What a cell of so many users delivers, where loads are relative to it and the scenario has another number."""
    if options.num_users in (None, scenario.num_users) or not has_deadlines(scenario):
        return {}
    busy = dataclasses.replace(scenario, num_users=options.num_users)
    return references_of(busy, options.episodes, options.validation_seed)


def has_deadlines(scenario: Scenario) -> bool:
    """Whether requests come with deadlines."""
    clock = scenario.clock
    return clock is not None and clock.requests is not None and clock.requests.slack is not None


def measure(task: str, label: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Tune a rule, play it, and time it; or bound what can be earned."""
    own = scenario_of(task, options)
    if label == BOUND:
        return bounds_of(own, options["episodes"], options["seed"])
    variant, rule = TASKS[task], opponents_of(task)[label]
    tried = []
    choices = rule.trials(options["trials"], options["validation_seed"])
    if len(choices) > 1:
        for choice in choices:
            played = play_service(
                rule.player(own, choice),
                variant,
                rule.scenario(own),
                options["validation_episodes"],
                options["validation_seed"],
            )
            tried.append({"options": choice, "return": float(played.returns.mean())})
        choices = [max(tried, key=lambda trial: trial["return"])["options"]]
    found = play_service(
        rule.player(own, choices[0]), variant, rule.scenario(own), options["episodes"], options["seed"]
    )
    estimates = {name: estimate.to_dict() for name, estimate in found.estimates(options["seed"]).items()}
    times = {
        key: decision_time(rule.player(own, choices[0]), variant, rule.scenario(own), rows)
        for key, rows in (("single", 1), ("batch", options["batch"]))
    }
    return {
        "name": rule.name,
        "knows": rule.knows,
        "options": {**rule.fixed, **choices[0]},
        "trials": tried,
        "returns": found.returns.tolist(),
        "measures": estimates,
        "microseconds": times,
    }


def decision_time(player: Player, variant: Variant, scenario: Scenario, rows: int) -> float:
    """Processor time of a decision for one cell, microseconds: the median over rounds of a batch of cells."""
    assert scenario.clock is not None
    game = ClockGame(variant, scenario, scenario.clock, num_rows=rows)
    info = begin_episodes(player, game, range(rows))
    taken: list[float] = []
    while len(taken) < _WARM_UP + 5 or (rows == 1 and len(taken) < 100):
        start = time.process_time()
        decision = decide(player, game, info)
        taken.append(time.process_time() - start)
        info = play(game, decision)
    return 1e6 * float(np.median(taken[_WARM_UP:])) / rows


def play(game: ClockGame, decision: Decision) -> dict[str, Any]:
    """Play a decision in all rows; return what is known of the round."""
    played = game.play_decision(decision)
    game.advance()
    return round_info(played)


def compare(found: dict[str, dict[str, Any]], seed: int) -> None:
    """Add what each rule loses against the best that sees no more than the task shows, and against the best of all."""
    means = {label: float(np.mean(row["returns"])) for label, row in found.items()}
    honest = [label for label, row in found.items() if row["knows"] != "truth"]
    best = {"rule": max(honest, key=means.__getitem__), "clairvoyant": max(means, key=means.__getitem__)}
    for label, row in found.items():
        row["return"] = mean_estimate(row["returns"], seed).to_dict()
        for kind, rival in best.items():
            loss = regret_estimate(row["returns"], found[rival]["returns"], seed).to_dict()
            row[f"loss_to_best_{kind}"] = {**loss, "best": rival == label}


def page(report: Mapping[str, Any]) -> str:
    """The table, and what it says."""
    rows = report["rules"]
    lines = [
        [
            f"`{row['name']}`" if label == row["name"] else label,
            row["knows"],
            ", ".join(f"{key} = {value}" for key, value in row["options"].items()) or "-",
            str(len(row["trials"]) or "-"),
            _amount(row["return"]),
            _loss(row["loss_to_best_rule"]),
            _loss(row["loss_to_best_clairvoyant"]),
            _share(row["measures"].get("on_time")),
            f"{row['measures']['goodput']['mean']:.1f}",
            f"{row['microseconds']['single'] / 1e3:.2f}",
            f"{row['microseconds']['batch']:.0f}",
        ]
        for label, row in sorted(rows.items(), key=lambda item: -item[1]["return"]["mean"])
    ]
    heads = ["rule", "decides by", "options", "trials", f"{report['reward'].replace('_', ' ')}, an episode"]
    heads += ["below the best rule", "below the best of all", "on time", "token/s"]
    heads += ["ms, alone", f"us, of {report['batch']:,}"]
    return f"{table(heads, lines, left=3)}\n{verdict(report)}\n{most(report)}{relative_to(report)}"


def relative_to(report: Mapping[str, Any]) -> str:
    """What loads and deadlines are relative to, where it was measured."""
    found = report["references"]
    if not found:
        return ""
    goodput, time_per_token = found["reference_goodput"], found["reference_time_per_token"]
    return (
        f"\nThe load is relative to {interval_text(goodput, '.1f')} token/s, deadlines to "
        f"{interval_text(time_per_token, '.4f')} s a token: what proportional fairness that knows everything has in a "
        f"cell of {report['num_users']} users who always have requests.\n"
    )


def most(report: Mapping[str, Any]) -> str:
    """What nobody can have more of, where that is known."""
    if BOUND not in report:
        return ""
    bound, rows = report[BOUND]["bound"], report["rules"].values()
    best = max(row["return"]["mean"] for row in rows if row["knows"] != "truth")
    return (
        f"\nNobody can have more than {_amount(bound)} on these episodes, of "
        f"{_amount(report[BOUND]['came'])} that come, whoever knows all arrivals, lengths and rates "
        f"beforehand: the best rule has {best / bound['mean']:.1%} of that.\n"
    )


def _amount(estimate: Mapping[str, Any]) -> str:
    return interval_text(estimate, ",.4g" if estimate["mean"] < 1e3 else ",.0f")


def _loss(estimate: Mapping[str, Any]) -> str:
    if estimate["best"]:
        return "-"
    return interval_text(estimate, ".1%")


def _share(estimate: Mapping[str, Any] | None) -> str:
    return "-" if estimate is None else f"{estimate['mean']:.1%}"


def verdict(report: Mapping[str, Any]) -> str:
    """Say what the best rule leaves."""
    rows = report["rules"]
    (label,) = (label for label, row in rows.items() if row["loss_to_best_rule"]["best"])
    if all(row["knows"] != "truth" for row in rows.values()):
        return f"Nothing is hidden from {label}: what is left is a question of planning ahead, not of knowing more."
    rival = max(rows, key=lambda name: rows[name]["return"]["mean"])
    if rival == label:
        return f"No rule that knows the truth is above {label}: to know more is worth nothing to the rules tried."
    loss = rows[label]["loss_to_best_clairvoyant"]
    low, high = loss["ci95"]
    text = f"{label} has {loss['mean']:.1%} ({low:.1%}, {high:.1%}) less than {rival}"
    if high < WORTH_LEARNING:
        return (
            f"{text}, which knows the truth: less than {WORTH_LEARNING:.0%}, so nothing is left that is worth learning."
        )
    return f"{text}, which knows the truth: no policy that sees what the task shows need be able to have all of that."


def study(options: Headroom, command: str) -> None:
    rules = opponents_of(options.task)
    unknown = sorted(set(options.labels) - set(rules))
    if unknown:
        raise ValueError(f"labels must be among {', '.join(rules)}; got {', '.join(unknown)}")
    kept = ("scenario", "num_users", "trials", "validation_episodes", "validation_seed", "episodes", "seed", "batch")
    settings = {name: getattr(options, name) for name in kept}
    own = load_scenario(options.scenario or options.task)
    assert own.clock is not None
    settings["references"] = references(own, options)
    chosen = [label for label in rules if not options.labels or label in options.labels]
    if has_deadlines(own):
        chosen.append(BOUND)
    found = options.do(measure, {label: (options.task, label, settings) for label in chosen})
    bound = {BOUND: found.pop(BOUND)} if BOUND in found else {}
    compare(found, options.seed)
    report = {**head(command), "reward": own.clock.reward, **settings, "rules": found, **bound}
    text = page(report)
    name = f"headroom_{options.task}" + (f"_{options.num_users}" if options.num_users else "")
    options.write({f"{name}.json": report, f"{name}.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Headroom, study, arguments)


if __name__ == "__main__":
    sys.exit(main())

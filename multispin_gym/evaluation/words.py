"""What an evaluation found, in words and plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multispin_gym._text_tables import number_text, text_table
from multispin_gym.statistics import Estimate

if TYPE_CHECKING:
    from multispin_gym.evaluation.measures import PolicyResult
    from multispin_gym.evaluation.results import EvaluationResult
    from multispin_gym.evaluation.service.measures import ServiceMeasures
    from multispin_gym.evaluation.service.result import ServiceResult

CAPTION = "means over episodes, ratios and gains of these means, with 95 % bootstrap intervals"

# Measure -> (heading, unit, form of its numbers, whether its interval is shown).
_COLUMNS: dict[str, tuple[str, str, str, bool]] = {
    "goodput": ("goodput", "token/s", "{:.4g}", True),
    "ratio_to_optimum": ("ratio to", "{reference}", "{:.4f}", True),
    "lowest_decile_ratio_to_optimum": ("its lowest", "decile", "{:.4f}", False),
    "regret_to_nested_polished": ("regret to", "nested_polished", "{:+.2%}", False),
    "long_run_goodput": ("long run", "token/s", "{:.4g}", False),
    "worst_user_rate": ("worst user", "token/s", "{:.4g}", False),
    "jain_index": ("Jain's", "index", "{:.3f}", False),
    "gain_over_server_only": ("gain over", "server_only", "{:+.1%}", False),
    "gain_over_baseline": ("gain over", "{baseline}", "{:+.1%}", False),
}


def title(result: EvaluationResult) -> str:
    """Say in a line what was played."""
    tokens = "sampled" if result.sampled else "expected"
    return (
        f"{result.scenario}: {result.num_users} users, {result.episodes} episodes of {result.length}, "
        f"{tokens} tokens, seed {result.seed}"
    )


def table(result: EvaluationResult) -> str:
    """Lay the measures of all policies out as plain text."""
    left_out = {"gain_over_baseline"} if result.baseline is None else set()
    left_out |= {"regret_to_nested_polished"} if result.nested_polished is None else set()
    measures = [name for name in _COLUMNS if name not in left_out]
    heads = [
        [part.format(reference=result.reference, baseline=result.baseline) for part in _COLUMNS[n][:2]]
        for n in measures
    ]
    rows = [["policy", *(head[0] for head in heads)], ["", *(head[1] for head in heads)]]
    rows += [[name, *(cell(each[m], *_COLUMNS[m][2:]) for m in measures)] for name, each in result.estimates.items()]
    lines = text_table(rows, right=[False, *(True for _ in measures)])
    return "\n".join([title(result), "", *lines, "", CAPTION])


def cell(estimate: Estimate | None, form: str, interval: bool, gap: str = " ") -> str:
    """One estimate in a table, its interval behind a gap; a dash where there is none, as of losses without drafts."""
    if estimate is None or not math.isfinite(estimate.mean):
        return "-"
    mean = number_text(form, estimate.mean)
    if not interval or estimate.ci95 is None:
        return mean
    return f"{mean}{gap}({', '.join(number_text(form, end) for end in estimate.ci95)})"


def to_dict(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates by measure as JSON-able data."""
    return {name: estimate.to_dict() for name, estimate in estimates.items()}


def summary(result: EvaluationResult) -> str:
    """Say in a line which policy has the most goodput."""
    best = max(result.estimates, key=lambda name: result.estimates[name]["goodput"].mean)
    found = result.estimates[best]
    return (
        f"K = {result.num_users}: {best} has the most goodput, {found['goodput'].mean:.4g} token/s, "
        f"{found['ratio_to_optimum'].mean:.4f} of the {result.reference} reference"
    )


def speculation(result: EvaluationResult) -> str:
    """Say whether speculation pays: where the best policy stands against plain server-side decoding."""
    rivals = {name: e["goodput"].mean for name, e in result.estimates.items() if name != "server_only"}
    if not rivals:
        return "Only server_only was played: nothing says whether speculation pays."
    best = max(rivals, key=lambda name: rivals[name])
    gain = result.estimates[best]["gain_over_server_only"]
    assert gain.mean == gain.mean, "plain decoding always has a positive goodput"
    if gain.ci95 is None:
        verdict, interval = ("seems to pay" if gain.mean > 0.0 else "does not seem to pay"), "one episode only"
    else:
        low, high = gain.ci95
        interval = f"95 % interval {low:+.1%} to {high:+.1%}"
        verdict = "pays" if low > 0.0 else "does not pay" if high <= 0.0 else "is on a par with plain decoding"
    sentence = f"Speculation {verdict} here: {best} has {gain.mean:+.1%} goodput over server_only ({interval})."
    if result.server_only_estimates["ratio_to_optimum"].mean > 1.0:
        sentence += (
            " server_only has more goodput than the reference: no drafts that the cell allows reach it,"
            " since its least draft length keeps users from opting out."
        )
    return sentence


def to_dataframe(result: EvaluationResult | ServiceResult) -> Any:
    """Return a pandas DataFrame with a row for each policy and episode."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ImportError("to_dataframe needs pandas: pip install pandas") from error
    frames = []
    policies: Mapping[str, PolicyResult | ServiceMeasures] = result.policies
    for name, policy in policies.items():
        episodes = range(result.episodes)
        columns = {"policy": name, "episode": episodes, "seed": [result.seed + episode for episode in episodes]}
        frames.append(pandas.DataFrame({**columns, **policy.per_episode()}))
    return pandas.concat(frames, ignore_index=True)

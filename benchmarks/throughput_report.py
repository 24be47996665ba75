"""Tables of what ``throughput.py`` measured."""

from __future__ import annotations

from typing import Any

from _report import table


def to_markdown(results: dict[str, Any]) -> str:
    """Lay out all results."""
    forms, native_rate = results["forms"], results["forms"]["MultiSpin, native x 1024"]
    parts = [
        table(
            ["environment", "steps/s", "native MultiSpin is"],
            [[name, f"{value:,.0f}", f"{native_rate / value:,.1f} times as fast"] for name, value in forms.items()],
        ),
        table(
            ["users", "rows", "tokens", "steps/s", "user-steps/s", "of the copy's speed", "kB/row"],
            [
                [
                    str(row["users"]),
                    str(row["envs"]),
                    row["tokens"],
                    f"{row['steps_per_second']:,.0f}",
                    f"{row['user_steps_per_second']:,.0f}",
                    f"{row['ratio_to_copy']:.1%}",
                    f"{row['bytes_per_env'] / 1e3:.1f}",
                ]
                for row in results["sizes"]
            ],
        ),
        table(
            ["stage, 1,024 rows of 8 users", "expected tokens", "sampled tokens"],
            [
                [stage, f"{share:.0%}", f"{results['stages']['sampled'][stage]:.0%}"]
                for stage, share in results["stages"]["expected"].items()
            ],
        ),
        f"Gymnasium's own benchmark_step, action sampling included: {results['benchmark_step']:,.0f} steps/s.\n",
    ]
    if "learner" in results:
        learner = results["learner"]
        parts.append(
            f"Plain SB3 PPO, 1,024 rows, two layers of 32, one thread: {learner['frames_per_second']:,.0f} frames/s by "
            f"the clock, {learner['frames_per_processor_second']:,.0f} a second of processor time; "
            f"{learner['environment_share']:.1%} of it in the environment."
        )
    return "\n".join(parts)

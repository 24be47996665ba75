"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def number_text(form: str, value: float) -> str:
    """Return a number in a form such as ``"{:.4g}"``, but large ones in full instead of with an exponent."""
    text = form.format(value)
    return f"{value:.0f}" if "e+" in text else text


def text_table(rows: Sequence[Sequence[str]], right: Sequence[bool] = (), gap: str = "  ") -> list[str]:
    """Return the lines of a table whose columns are as wide as their widest entry; ``right`` says which are flush."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    flush = [*right, *(False for _ in widths[len(right) :])]
    return [
        gap.join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, flush, strict=True)
        ).rstrip()
        for row in rows
    ]

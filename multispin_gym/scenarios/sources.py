"""Where the numbers of a scenario come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multispin_gym._validation import check_choice, check_list
from multispin_gym.scenarios.populations import check_text

STATUSES = ("measured", "derived", "assumed", "inferred")


@dataclass(frozen=True)
class Source:
    """Where numbers of a scenario come from.

    Parameters
    ----------
    keys
        Dotted keys of the scenario file that this is about; a key covers all keys below it.
    status
        ``"measured"``, ``"derived"`` (computed from measured or published figures), ``"assumed"``, or ``"inferred"``
        (fitted, so that published results come out).
    source
        Where the numbers come from.

    Raises
    ------
    ValueError
        If the status is unknown, a text is empty or there are no keys.
    TypeError
        If a value is of the wrong type.
    """

    keys: Sequence[str]
    status: Literal["measured", "derived", "assumed", "inferred"]
    source: str

    def __post_init__(self) -> None:
        keys = check_list("keys", self.keys, kind="a list of at least one dotted key", least=1)
        object.__setattr__(self, "keys", tuple(check_text(f"keys[{i}]", key) for i, key in enumerate(keys)))
        check_choice("status", self.status, STATUSES)
        check_text("source", self.source)

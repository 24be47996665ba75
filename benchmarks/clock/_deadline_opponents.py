"""The rules that are compared where requests have deadlines; nothing is hidden there.

Every rule that may give requests up is played with and without that power.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from _opponent import Opponent

GIVES_UP = {"admission": True}
HOPELESS = (math.inf, 1.0, 0.7, 0.5)
OBJECTIVES = ("sum", "proportional_fair")
GRIDS: dict[str, Mapping[str, Sequence[Any]]] = {
    "equal_weights": {"objective": OBJECTIVES, "hopeless": (math.inf, 1.0, 0.85, 0.7, 0.5, 0.35)},
    "earliest_deadline": {
        "decay": (0.95, 0.9, 0.8, 0.6),
        "by": ("deadline", "laxity"),
        "objective": OBJECTIVES,
        "hopeless": HOPELESS,
    },
    "required_rate": {"exponent": (0.25, 0.5, 1.0), "objective": OBJECTIVES, "hopeless": HOPELESS},
    "shortest_first": {"power": (0.25, 0.5, 1.0), "objective": OBJECTIVES, "hopeless": HOPELESS},
    "request_index": {
        "temperature": (0.3, 1.0),
        "power": (0.0, 0.5),
        "threshold": (0.0, 0.25, 0.4, 0.6),
        "objective": OBJECTIVES,
    },
    "open_loop_planner": {
        "speed_up": (0.5, 0.7, 1.0),
        "crowd": (0.0, 0.3, 1.0),
        "exponent": (0.0, 0.5, 1.0),
        "rest": (0.1, 0.5),
    },
    "deadline_rollout": {"horizon": (10.0, 20.0, 40.0), "temperature": (0.2, 0.4), "caution": (0.1, 0.3, 0.6)},
}
OPPONENTS = (
    Opponent(label="server_only", name="server_only", knows="nothing"),
    Opponent(label="fixed_bw_l", name="fixed_bw_l", knows="nothing"),
    *(Opponent(label=name, name=name, knows="what it sees") for name in ("homogeneous", "uni_bw", "multi_spin")),
    Opponent(label="heterogeneous", name="heterogeneous", knows="what it sees"),
    Opponent(
        label="proportional_fair",
        name="heterogeneous",
        knows="what it sees",
        fixed={"objective": "proportional_fair"},
    ),
    *(Opponent(label=name, name=name, knows="what it sees", grid=grid) for name, grid in GRIDS.items()),
    *(
        Opponent(label=f"{name}, gives up", name=name, knows="what it sees", grid=grid, clock=GIVES_UP)
        for name, grid in GRIDS.items()
    ),
)

"""The rules that are compared where acceptance rates are hidden."""

from _opponent import Opponent

FAIR = {"objective": "proportional_fair"}
OPPONENTS = (
    Opponent(label="server_only", name="server_only", knows="nothing"),
    Opponent(label="fixed_bw_l", name="fixed_bw_l", knows="nothing"),
    Opponent(label="mean_heterogeneous", name="mean_heterogeneous", knows="means"),
    Opponent(label="mean_proportional_fair", name="mean_proportional_fair", knows="means"),
    Opponent(label="the round's optimum", name="heterogeneous", knows="truth"),
    Opponent(label="proportional fairness", name="heterogeneous", knows="truth", fixed=FAIR),
)

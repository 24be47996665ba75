"""The rules that are compared where acceptance rates are hidden."""

from _opponent import PAPERS_CONTROLLERS, Opponent

SEES = "what it sees"
FAIR = {"objective": "proportional_fair"}
CURVE_OR_MEAN = {"belief": ("posterior", "posterior_mean")}
BANDIT = {"beta": (0.0, 0.03, 0.1, 0.3), "states": (1, 2, 4)}
OPPONENTS = (
    Opponent(label="server_only", name="server_only", knows="nothing"),
    Opponent(label="fixed_bw_l", name="fixed_bw_l", knows="nothing"),
    Opponent(label="UCB-SpecStop as printed", name="spec_stop", knows=SEES, fixed={"bonus": "printed"}, grid=BANDIT),
    Opponent(label="UCB-SpecStop, scaled bonus", name="spec_stop", knows=SEES, fixed={"bonus": "scaled"}, grid=BANDIT),
    Opponent(
        label="SmartSpec",
        name="smart_spec",
        knows=SEES,
        grid={"memory": (0.0, 0.8, 0.95, 0.99), "prior": (3.0, 30.0, 300.0)},
    ),
    Opponent(
        label="GoodSpeed",
        name="good_speed",
        knows=SEES,
        grid={"budget": (1.0, 2.0, 4.0), "rate_step": (0.1, 0.5), "speed_step": (0.03, 0.3)},
    ),
    *PAPERS_CONTROLLERS,
    Opponent(label="mean_heterogeneous", name="mean_heterogeneous", knows="means"),
    Opponent(label="mean_proportional_fair", name="mean_proportional_fair", knows="means"),
    Opponent(label="mean_fluid", name="mean_fluid", knows="means", grid={"factor": (0.7, 0.85, 1.0, 1.2)}),
    Opponent(label="law_heterogeneous", name="law_heterogeneous", knows="means"),
    Opponent(label="ranking by survival", name="survival_ranking", knows=SEES, grid=CURVE_OR_MEAN),
    Opponent(
        label="Thompson sampling",
        name="thompson",
        knows=SEES,
        grid={"objective": ("sum", "proportional_fair")},
    ),
    Opponent(label="posterior_heterogeneous", name="posterior_heterogeneous", knows=SEES, grid=CURVE_OR_MEAN),
    Opponent(
        label="posterior_proportional_fair",
        name="posterior_proportional_fair",
        knows=SEES,
        grid=CURVE_OR_MEAN,
    ),
    Opponent(
        label="posterior_fluid",
        name="posterior_fluid",
        knows=SEES,
        grid={"factor": (0.7, 0.85, 1.0, 1.2), "prior": (30.0, 300.0, 3000.0)},
    ),
    Opponent(label="the round's optimum", name="heterogeneous", knows="truth"),
    Opponent(label="proportional fairness", name="heterogeneous", knows="truth", fixed=FAIR),
    Opponent(
        label="the fluid rule",
        name="posterior_fluid",
        knows="truth",
        grid={"factor": (0.7, 0.85, 1.0, 1.2), "prior": (30.0, 300.0, 3000.0)},
        clock={"hidden": False},
    ),
)

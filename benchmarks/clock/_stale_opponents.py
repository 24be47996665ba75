"""The rules that are compared where channel reports are old and noisy, and late uploads are lost."""

from math import inf

from _opponent import PAPERS_CONTROLLERS, Opponent

FAIR = {"objective": "proportional_fair"}
MARGINS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
LEVELS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
FACTORS = (1.02, 1.1, 1.2, 1.4)
OPPONENTS = (
    Opponent(label="server_only", name="server_only", knows="nothing"),
    Opponent(label="fixed_bw_l", name="fixed_bw_l", knows="nothing"),
    *PAPERS_CONTROLLERS,
    Opponent(label="mean_heterogeneous", name="mean_heterogeneous", knows="means"),
    Opponent(label="mean_proportional_fair", name="mean_proportional_fair", knows="means"),
    Opponent(
        label="backoff",
        name="backoff",
        knows="what it sees",
        fixed={"cutoff": inf},
        grid={"decibels": MARGINS},
    ),
    Opponent(
        label="backoff, cut-off",
        name="backoff",
        knows="what it sees",
        grid={"decibels": MARGINS[::2], "cutoff": FACTORS},
    ),
    Opponent(
        label="quantile",
        name="channel_quantile",
        knows="what it sees",
        fixed={"cutoff": inf},
        grid={"level": (0.005, 0.01, *LEVELS, 0.4, 0.5)},
    ),
    Opponent(
        label="quantile, cut-off",
        name="channel_quantile",
        knows="what it sees",
        grid={"level": LEVELS, "cutoff": FACTORS},
    ),
    Opponent(
        label="stochastic programme",
        name="stochastic_programme",
        knows="what it sees",
        grid={"price": (0.85, 0.9, 0.95, 1.0, 1.05, 1.1)},
    ),
    Opponent(label="stochastic programme, price 1", name="stochastic_programme", knows="what it sees"),
    Opponent(
        label="stochastic programme, round",
        name="stochastic_programme",
        knows="what it sees",
        fixed={"horizon": "round"},
    ),
    Opponent(
        label="stochastic programme, fair",
        name="stochastic_programme",
        knows="what it sees",
        fixed=FAIR,
        grid={"price": (0.85, 0.9, 0.95, 1.0, 1.05, 1.1)},
    ),
    Opponent(label="the round's optimum", name="heterogeneous", knows="truth"),
    Opponent(label="proportional fairness", name="heterogeneous", knows="truth", fixed=FAIR),
    Opponent(
        label="the programme",
        name="stochastic_programme",
        knows="truth",
        grid={"price": (0.85, 0.9, 0.95, 1.0, 1.05, 1.1)},
        clock={"report_age": 0.0, "report_noise_db": 0.0},
    ),
)

"""The rules that are compared where all is at once: deadlines, old reports, lost uploads and hidden rates."""

from _opponent import PAPERS_CONTROLLERS, Opponent

SEES = "what it sees"
FAIR = {"objective": "proportional_fair"}
OBJECTIVES = ("sum", "proportional_fair")
LEVELS, FACTORS = (0.05, 0.1, 0.2), (1.1, 1.4)
GIVES_UP, THRESHOLDS = {"admission": True}, (0.25, 0.4, 0.6)
NOTHING_HIDDEN = {"hidden": False, "report_age": 0.0, "report_noise_db": 0.0}
INDEX = {"temperature": (0.3, 1.0), "power": (0.0, 0.5, 1.0), "objective": OBJECTIVES}
INDEX_AND_THRESHOLD = {"power": (0.0, 0.5), "threshold": THRESHOLDS, "objective": OBJECTIVES}
OPPONENTS = (
    Opponent(label="server_only", name="server_only", knows="nothing"),
    Opponent(label="fixed_bw_l", name="fixed_bw_l", knows="nothing"),
    *PAPERS_CONTROLLERS,
    Opponent(label="mean_heterogeneous", name="mean_heterogeneous", knows="means"),
    Opponent(label="mean_proportional_fair", name="mean_proportional_fair", knows="means"),
    Opponent(label="posterior_proportional_fair", name="posterior_proportional_fair", knows=SEES),
    Opponent(label="request_index", name="request_index", knows=SEES, grid=INDEX),
    Opponent(
        label="backoff, mean rates",
        name="backoff",
        knows=SEES,
        fixed={"belief": "mean"},
        grid={"decibels": (2.0, 4.0, 8.0), "cutoff": FACTORS, "objective": OBJECTIVES},
    ),
    Opponent(
        label="backoff, posterior",
        name="backoff",
        knows=SEES,
        grid={"decibels": (2.0, 4.0, 8.0), "cutoff": FACTORS, "objective": OBJECTIVES},
    ),
    Opponent(
        label="quantile, posterior",
        name="channel_quantile",
        knows=SEES,
        grid={"level": LEVELS, "cutoff": FACTORS, "objective": OBJECTIVES},
    ),
    Opponent(
        label="quantile, posterior, index",
        name="index_quantile",
        knows=SEES,
        grid={
            "level": LEVELS,
            "cutoff": FACTORS,
            "power": (0.0, 0.5, 1.0),
            "temperature": (0.3, 1.0),
            "objective": OBJECTIVES,
        },
    ),
    Opponent(
        label="stochastic programme, posterior",
        name="stochastic_programme",
        knows=SEES,
        fixed={"horizon": "round"},
        grid={"price": (0.85, 1.0, 1.15), "objective": OBJECTIVES},
    ),
    Opponent(
        label="stochastic programme, posterior, index",
        name="index_programme",
        knows=SEES,
        grid={
            "price": (0.85, 1.0, 1.15),
            "power": (0.0, 0.5, 1.0),
            "temperature": (0.3, 1.0),
            "objective": OBJECTIVES,
        },
    ),
    Opponent(
        label="request_index, gives up",
        name="request_index",
        knows=SEES,
        fixed={"temperature": 0.3},
        grid=INDEX_AND_THRESHOLD,
        clock=GIVES_UP,
    ),
    Opponent(
        label="quantile, posterior, index, gives up",
        name="index_quantile",
        knows=SEES,
        fixed={"temperature": 0.3, "cutoff": 1.4},
        grid={"level": LEVELS, "power": (0.0, 0.5), "threshold": THRESHOLDS, "objective": OBJECTIVES},
        clock=GIVES_UP,
    ),
    Opponent(
        label="stochastic programme, posterior, index, gives up",
        name="index_programme",
        knows=SEES,
        fixed={"temperature": 0.3},
        grid={
            "price": (0.85, 1.0, 1.15),
            "power": (0.0, 0.5),
            "threshold": THRESHOLDS,
            "objective": OBJECTIVES,
        },
        clock=GIVES_UP,
    ),
    Opponent(label="the round's optimum", name="heterogeneous", knows="truth"),
    Opponent(label="proportional fairness", name="heterogeneous", knows="truth", fixed=FAIR),
    Opponent(label="the index", name="request_index", knows="truth", grid=INDEX, clock=NOTHING_HIDDEN),
    Opponent(
        label="the index, gives up",
        name="request_index",
        knows="truth",
        fixed={"temperature": 0.3},
        grid=INDEX_AND_THRESHOLD,
        clock={**NOTHING_HIDDEN, **GIVES_UP},
    ),
)

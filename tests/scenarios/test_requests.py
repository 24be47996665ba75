"""What a scenario says about requests: lengths, rates, and what is refused."""

import dataclasses

import numpy as np
import pytest

from multispin_gym import Scenario, load_scenario
from multispin_gym.scenarios import Requests
from multispin_gym.scenarios.arrivals import PoissonProcess, SwitchedProcess

LEVELS, TOKENS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0), (1, 41, 85, 129, 395, 451, 601, 700)
BURSTS = {"gap_variation": 13.2, "count_autocorrelation": 0.47, "count_window": 10.0, "measured_rate": 2.57}


def requests(**changes):
    fields = {"length_levels": LEVELS, "length_tokens": TOKENS, "reference_goodput": 100.0}
    return Requests(**{**fields, **changes})


QUANTILES = [
    (LEVELS, TOKENS),
    ((0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0), (1, 6, 9, 13, 24, 90, 252, 400)),
    ((0.0, 1.0), (5, 5)),
    ((0.0, 1.0), (1, 2)),
    ((0.0, 0.25, 0.5, 1.0), (3, 7, 7, 7)),
]


@pytest.mark.parametrize(("levels", "tokens"), QUANTILES)
def test_the_mean_length_is_that_of_what_is_drawn(levels, tokens):
    said = requests(length_levels=levels, length_tokens=tokens)
    grid = (np.arange(2_000_000) + 0.5) / 2_000_000
    lengths = said.lengths(grid)
    assert (lengths == np.floor(lengths)).all()
    assert lengths.min() >= tokens[0]
    assert lengths.max() <= tokens[-1]
    # The grid is wrong by less than its spacing for each of the steps between whole lengths.
    assert said.mean_length == pytest.approx(lengths.mean(), abs=(tokens[-1] - tokens[0] + 1) / 2_000_000)


def test_drawn_lengths_have_the_stated_quantiles():
    lengths = requests().lengths(np.random.default_rng(0).random(200_000))
    for level, tokens in zip(LEVELS[1:-1], TOKENS[1:-1], strict=True):
        # Half of the lengths that are rounded to the quantile lie below it.
        share = (lengths < tokens).mean() + 0.5 * (lengths == tokens).mean()
        assert share == pytest.approx(level, abs=0.002 + 5.0 * np.sqrt(level * (1.0 - level) / lengths.size))


def test_requests_ask_for_their_share_of_the_reference_goodput():
    said = requests(load=0.8)
    assert said.rate * said.mean_length == pytest.approx(80.0)
    assert said.process == PoissonProcess(said.rate)


def test_bursty_arrivals_are_the_traces_stretched_in_time():
    said = requests(arrivals="bursty", **BURSTS)
    process = said.process
    assert isinstance(process, SwitchedProcess)
    assert process.rate == pytest.approx(said.rate)
    assert process.gap_variation == pytest.approx(13.2)
    assert process.count_autocorrelation(10.0 * 2.57 / said.rate) == pytest.approx(0.47)


def test_replaced_requests_do_not_arrive():
    said = requests(arrivals="replaced", reference_goodput=None)
    assert said.rate == 0.0
    assert said.process is None


def test_one_key_changes_the_kind_of_arrivals():
    said = requests(arrivals="bursty", **BURSTS)
    assert isinstance(dataclasses.replace(said, arrivals="poisson").process, PoissonProcess)
    assert dataclasses.replace(said, arrivals="replaced").process is None


@pytest.mark.parametrize("arrivals", ["poisson", "bursty", "replaced"])
def test_requests_go_to_toml_and_back(arrivals):
    said = requests(arrivals=arrivals, slack=[1.2, 3.0], reference_time_per_token=0.08, **BURSTS)
    scenario = load_scenario("deadline")
    scenario = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, requests=said))
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert hash(said) == hash(Scenario.from_toml(scenario.to_toml()).clock.requests)


NEEDED = "is missing: arrivals = 'bursty' needs it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"arrivals": "burst"},
            r"^arrivals must be one of poisson, bursty, replaced; got 'burst'",
        ),
        ({"load": 0.0}, r"^load must lie in \[1e-09, 1e\+09\], got 0.0$"),
        ({"load": "much"}, "^load must be a number"),
        ({"reference_goodput": None}, "^reference_goodput is missing: arrivals = 'poisson' needs it$"),
        ({"reference_goodput": -1.0}, r"^reference_goodput must lie in \[1e-09, 1e\+09\], got -1.0$"),
        ({"reference_time_per_token": 0}, r"^reference_time_per_token must lie in \[1e-09, 1e\+09\], got 0.0$"),
        ({"slack": (1.0, 2.0)}, "^reference_time_per_token is missing: slack needs it$"),
        ({"slack": (2.0, 1.0)}, r"^slack must be a pair \[low, high\] with low <= high"),
        ({"slack": (0.0, 1.0)}, r"^slack\[0\] must lie in \[1e-09, 1e\+09\], got 0.0$"),
        ({"queue_factor": 1.5}, r"^queue_factor must be a whole number in \[0, 1000\], got 1.5$"),
        ({"queue_factor": 1001}, r"^queue_factor must be a whole number in \[0, 1000\], got 1001$"),
        ({"arrivals": "bursty"}, f"^gap_variation {NEEDED}$"),
        *(({"arrivals": "bursty", **BURSTS, name: None}, f"^{name} {NEEDED}$") for name in BURSTS),
        ({"gap_variation": 1.0}, r"^gap_variation must lie in \[1.0001, 1000\], got 1.0$"),
        ({"count_autocorrelation": 1.5}, r"^count_autocorrelation must lie in \[0.001, 1\], got 1.5$"),
        ({"count_window": 0.0}, r"^count_window must lie in \[1e-09, 1e\+09\], got 0.0$"),
        ({"measured_rate": 0.0}, r"^measured_rate must lie in \[1e-09, 1e\+09\], got 0.0$"),
        (
            {"arrivals": "bursty", **BURSTS, "count_autocorrelation": 0.99},
            r"^count_autocorrelation must lie in \[.*, 0.962\], where .*, got 0.99$",
        ),
        (
            {"load": 3000.0},
            "^load must let at most 1000 requests arrive per second, got 3000.0: 1[0-9]{3}.* requests of",
        ),
        ({"length_levels": 0.5}, "^length_levels must be a list of at least two numbers, got 0.5$"),
        ({"length_tokens": [1]}, r"^length_tokens must be a list of at least two numbers, got \[1\]$"),
        ({"length_tokens": [1] * 1001}, "^length_tokens must have at most 1000 entries, got 1001$"),
        ({"length_tokens": (1, 2)}, "^length_levels and length_tokens must have as many entries, got 8 and 2$"),
        (
            {"length_levels": (0.1, 1.0), "length_tokens": (1, 2)},
            "^length_levels must increase from 0 to 1",
        ),
        ({"length_levels": (0.0, 0.9), "length_tokens": (1, 2)}, "^length_levels must increase from 0 to 1, got"),
        ({"length_levels": (0.0, 0.5, 0.5, 1.0), "length_tokens": (1, 2, 3, 4)}, "^length_levels must increase from"),
        ({"length_levels": (0.0, 1.5), "length_tokens": (1, 2)}, r"^length_levels must lie in \[0, 1\], got 1.5 at"),
        ({"length_levels": (0.0, 1.0), "length_tokens": (2, 1)}, r"^length_tokens must not fall, got \[2, 1\]$"),
        (
            {"length_levels": (0.0, 1.0), "length_tokens": (0, 1)},
            r"^length_tokens must be a whole number in \[1, ",
        ),
        ({"length_levels": (0.0, 1.0), "length_tokens": (1.5, 2)}, "^length_tokens must be a whole number in"),
        ({"length_levels": [[0.0], [1.0]], "length_tokens": (1, 2)}, "must be lists of numbers, got lists of lists$"),
    ],
)
def test_what_cannot_be_is_refused_by_name_value_and_range(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        requests(**changes)

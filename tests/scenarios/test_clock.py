"""What a scenario says about time: TOML in and out, and what is refused."""

import dataclasses

import pytest

from multispin_gym import AffineVerification, Fading, Scenario, TableVerification, load_scenario
from multispin_gym.scenarios import Clock, Requests, change_scenario

REQUESTS = Requests(length_levels=(0.0, 1.0), length_tokens=(1, 9), arrivals="replaced")


def clock(**changes):
    return Clock(**{"episode_seconds": 60.0, **changes})


def test_a_scenario_has_no_clock_unless_it_says_so():
    scenario = load_scenario("default")
    assert scenario.clock is None
    assert "clock" not in scenario.to_toml()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"coherence_time": 0.0, "report_age": 1, "report_noise_db": 2.0, "cutoff": True, "cutoff_min": 0.1},
        {"hidden": True, "sampled": True, "length_known": False, "admission": True, "requests": REQUESTS},
        {"reward": "guaranteed_rate", "guaranteed_rate": 5.0, "coherence_time": 3.0},
        {"reward": "tokens_on_time", "requests": REQUESTS},
        {"reward": "requests_on_time", "requests": REQUESTS},
        {"reward": "proportional_fair", "round_timeout": 1.0, "cutoff_max": 0.5},
    ],
)
def test_a_clock_goes_to_toml_and_back(changes):
    scenario = dataclasses.replace(load_scenario("default"), clock=clock(**changes))
    again = Scenario.from_toml(scenario.to_toml())
    assert again == scenario
    assert hash(again.clock) == hash(scenario.clock)


def test_keys_of_the_clock_are_changed_by_their_dotted_names():
    scenario = change_scenario(load_scenario("serve"), {"clock.coherence_time": 5.0, "clock.requests.load": 1.2})
    assert scenario.clock.coherence_time == 5.0
    assert scenario.clock.requests.load == 1.2
    with pytest.raises(ValueError, match=r"^clock.requests.loud is not a key of \[clock.requests\]"):
        change_scenario(scenario, {"clock.requests.loud": 1.2})
    with pytest.raises(ValueError, match=r"^clock.requests.load must lie in"):
        change_scenario(scenario, {"clock.requests.load": -1.0})
    with pytest.raises(ValueError, match=r"^clock.cutof is not a key of \[clock\].*Did you mean 'cutoff'"):
        change_scenario(scenario, {"clock.cutof": True})
    with pytest.raises(TypeError, match=r"^clock.cutoff must be True or False, got 1$"):
        change_scenario(scenario, {"clock.cutoff": 1})
    with pytest.raises(TypeError, match=r"^clock must be a table, got 3$"):
        change_scenario(load_scenario("default"), {"clock": 3})
    with pytest.raises(ValueError, match=r"^clock.episode_seconds is missing$"):
        change_scenario(load_scenario("default"), {"clock.cutoff": True})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episode_seconds": 0.0}, r"^episode_seconds must lie in \[1e-06, 1e\+09\], got 0.0$"),
        ({"episode_seconds": "long"}, "^episode_seconds must be a number or an array of numbers, got 'long'$"),
        ({"fading_within_rounds": True}, "^coherence_time must be above 0 with fading_within_rounds, got None$"),
        ({"round_timeout": -1.0}, r"^round_timeout must lie in \[1e-06, 1e\+09\], got -1.0$"),
        ({"coherence_time": -1.0}, r"^coherence_time must lie in \[0, 1e\+09\], got -1.0$"),
        ({"report_age": -1.0}, r"^report_age must lie in \[0, 1e\+09\], got -1.0$"),
        ({"report_noise_db": 101.0}, r"^report_noise_db must lie in \[0, 100\], got 101.0$"),
        ({"cutoff_min": 0.0}, r"^cutoff_min must lie in \[1e-06, 1e\+09\], got 0.0$"),
        ({"cutoff_max": 0.0}, r"^cutoff_max must lie in \[1e-06, 1e\+09\], got 0.0$"),
        ({"cutoff_min": 5.0}, "^cutoff_min must lie below cutoff_max, 5.0, got 5.0$"),
        ({"reward": "token"}, "^reward must be one of goodput, tokens, .*; got 'token'. Did you mean 'tokens'"),
        ({"guaranteed_rate": 0.0}, r"^guaranteed_rate must lie in \[1e-06, 1e\+09\], got 0.0$"),
        ({"reward": "guaranteed_rate"}, "^guaranteed_rate is missing: reward = 'guaranteed_rate' needs it$"),
        ({"hidden": True}, "^hidden needs sampled = true: expected tokens would show what is hidden$"),
        ({"reward": "requests_on_time"}, "^requests is missing: reward = 'requests_on_time' needs it$"),
        ({"reward": "tokens_on_time"}, "^requests is missing: reward = 'tokens_on_time' needs it$"),
        ({"admission": True}, "^requests is missing: admission needs it$"),
        ({"requests": {}}, r"^requests must be a Requests or None, got \{\}$"),
        *(
            ({name: "yes"}, f"^{name} must be True or False, got 'yes'$")
            for name in ("cutoff", "hidden", "sampled", "length_known", "admission", "fading_within_rounds")
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name_value_and_range(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        clock(**changes)


def test_a_fade_remembers_seconds_or_rounds():
    scenario = dataclasses.replace(load_scenario("default"), clock=clock(coherence_time=2.0))
    with pytest.raises(ValueError, match=r"^fading.correlation must be 0 where clock.coherence_time .* 0.5 and 2.0$"):
        dataclasses.replace(scenario, fading=Fading(correlation=0.5))
    for afresh in (None, 0.0):
        dataclasses.replace(scenario, fading=Fading(correlation=0.5), clock=clock(coherence_time=afresh))


def test_a_look_back_and_an_upload_last_so_many_coherence_times_at_most():
    scenario = load_scenario("serve")
    furthest = dataclasses.replace(scenario.clock, report_age=2000.0, coherence_time=2.0)
    assert dataclasses.replace(scenario, clock=furthest).clock.report_age == 2000.0
    for changes, name in (
        ({"report_age": 2001.0}, "report_age"),
        ({"coherence_time": 0.004, "report_age": 0.0, "fading_within_rounds": True}, "round_timeout"),
    ):
        beyond = dataclasses.replace(furthest, **changes)
        with pytest.raises(
            ValueError, match=f"^clock.{name} must be at most 1000 times clock.coherence_time, which is"
        ):
            dataclasses.replace(scenario, clock=beyond)
    dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, coherence_time=None, report_age=1e6))


@pytest.mark.parametrize(
    ("verification", "fields"),
    [
        (AffineVerification(0.1, 1.0, "ragged"), "fixed, per_token and per_draft"),
        (AffineVerification(0.1, per_draft=80.0), "fixed, per_token and per_draft"),
        (TableVerification([1, 648], [0.1, 601.0]), "seconds"),
    ],
)
def test_where_time_passes_a_verification_ends_within_minutes(verification, fields):
    scenario = load_scenario("serve")
    slow = dataclasses.replace(scenario.cell, verification=verification, max_draft_length=80)
    message = (
        f"^cell.verification must take at most 600 s, by its {fields}, for drafts .* where there is a clock, got 6"
    )
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(scenario, cell=slow)
    assert dataclasses.replace(scenario, cell=slow, clock=None).cell == slow


def test_a_clock_is_a_clock():
    with pytest.raises(TypeError, match=r"^clock must be a Clock, got 3$"):
        dataclasses.replace(load_scenario("default"), clock=3)

"""Arguments of the environments in which time passes: the checkers, and one clear error for each that is wrong."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from clock_games import ARRIVING, DEADLINE, HIDDEN, IDS, SERVE, STALE, make
from gymnasium.utils.env_checker import check_env

from multispin_gym.envs.arguments import SWITCHES, ClockArguments
from multispin_gym.envs.variants import VARIANTS


@pytest.mark.parametrize("options", [{}, {"length_known": False}, {"num_users": 1, "fading_within_rounds": True}])
@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_checker_finds_nothing(env_id, options):
    if env_id == HIDDEN and "fading_within_rounds" in options:
        options = {**options, "coherence_time": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id, **options).unwrapped)


@pytest.mark.parametrize("env_id", ARRIVING)
def test_gymnasiums_checker_finds_nothing_where_requests_can_be_given_up(env_id):
    check_env(gym.make(env_id, admission=True).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_every_argument_is_documented_and_has_a_default(env_id):
    cls = type(gym.make(env_id).unwrapped)
    # From Python 3.13 on docstrings are kept without their indentation.
    documented = {name for line in cls.__doc__.splitlines() for name in line.strip().split(", ")}
    assert set(ClockArguments.__annotations__) <= documented
    assert set(SWITCHES) <= set(ClockArguments.__annotations__)
    assert VARIANTS[env_id].summary


@pytest.mark.parametrize("env_id", IDS)
def test_many_environments_are_made_by_their_ids(env_id):
    for mode in ("sync", "vector_entry_point"):
        envs = gym.make_vec(env_id, num_envs=2, vectorization_mode=mode)
        envs.reset(seed=0)
        assert envs.step(envs.action_space.sample())[1].shape == (2,)


BAD = [
    ({"arrivals": "poison"}, ValueError, "arrivals must be one of .*Did you mean 'poisson'"),
    ({"load": 0.0}, ValueError, r"load must lie in \[1e-09, 1e\+09\], got 0"),
    ({"load": 0.5, "arrivals": None}, ValueError, "load must be left out with arrivals = None, got 0.5"),
    ({"coherence_time": -1.0}, ValueError, r"coherence_time must lie in \[0"),
    ({"coherence_time": "fast"}, TypeError, "coherence_time must be a number"),
    ({"report_age": None}, TypeError, "report_age must be a number"),
    ({"report_noise_db": 200.0}, ValueError, r"report_noise_db must lie in \[0, 100"),
    ({"cutoff": 1}, TypeError, "cutoff must be"),
    ({"hidden": True, "sampled": False}, ValueError, "hidden needs sampled = true"),
    ({"episode_seconds": 0.0}, ValueError, "episode_seconds must lie in"),
    ({"max_time": 0.0}, ValueError, "episode_seconds must lie in"),
    ({"max_time": 3.0, "episode_seconds": 3.0}, ValueError, "max_time means the same as episode_seconds"),
    ({"round_timeout": np.nan}, ValueError, "round_timeout must"),
    ({"reward": "ratio"}, ValueError, "reward must be one of goodput, tokens"),
    ({"reward": "guaranteed_rate"}, ValueError, "guaranteed_rate is missing"),
    ({"admission": "yes"}, TypeError, "admission must be"),
    ({"fading_within_rounds": True, "round_timeout": None}, ValueError, "round_timeout must be above 0 with"),
    ({"fading_within_rounds": True, "coherence_time": 0}, ValueError, "coherence_time must be above 0 with"),
    ({"weights": [1.0]}, ValueError, "weights must have one entry for each of the 8 users, got 1"),
    ({"num_users": 0}, ValueError, "num_users must be a whole number in"),
    ({"num_rounds": 0}, ValueError, "num_rounds must be a whole number in"),
    ({"cutof": True}, TypeError, "cutof is not an argument of .*Did you mean 'cutoff'"),
]


@pytest.mark.parametrize("env_id", [DEADLINE, SERVE])
@pytest.mark.parametrize(("options", "kind", "message"), BAD, ids=str)
def test_a_wrong_argument_gives_one_clear_error(env_id, options, kind, message):
    with pytest.raises(kind, match=message) as raised:
        gym.make(env_id, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"load": 0.5}, "load must be left out in a scenario without requests such as 'stale', got 0.5"),
        ({"arrivals": "poisson"}, "arrivals must be left out in a scenario without requests such as 'stale'"),
        ({"admission": True}, "requests is missing: admission needs it"),
        ({"reward": "tokens_on_time"}, "requests is missing: reward = 'tokens_on_time' needs it"),
    ],
    ids=str,
)
def test_what_is_about_requests_is_refused_where_there_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make(STALE, **options)


def test_replaced_requests_lack_what_arrivals_need():
    with pytest.raises(ValueError, match="reference_goodput is missing: arrivals = 'poisson' needs it"):
        gym.make(HIDDEN, arrivals="poisson")
    env = make(DEADLINE, arrivals="replaced")
    observation, _ = env.reset(seed=0)
    assert "present" not in observation
    assert "time_to_deadline" in observation


def test_more_cells_and_users_than_fit_are_refused():
    with pytest.raises(ValueError, match=r"cells times num_users must lie in \[1, 4000000\], got 1000000 x 8"):
        gym.make_vec(STALE, num_envs=1_000_000, vectorization_mode="vector_entry_point")


def test_environments_without_a_clock_know_nothing_of_it():
    with pytest.raises(TypeError, match="cutoff is not an argument of MultiSpinEnv"):
        gym.make("multispin_gym/MultiSpin-v0", cutoff=True)

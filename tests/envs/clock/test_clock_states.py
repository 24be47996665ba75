"""A game is saved and gone on from in mid-episode, and pickled."""

import pickle

import numpy as np
import pytest
from clock_games import DEADLINE, HIDDEN, IDS, SERVE, STALE, make, make_vec, varied_actions
from gymnasium.error import ResetNeeded
from gymnasium.vector.utils import CloudpickleWrapper

LIVELY = {"admission": True, "load": 3.0}


def options_of(env_id):
    return {DEADLINE: LIVELY, STALE: {}, HIDDEN: {"admission": True}, SERVE: LIVELY}[env_id]


def played(envs, count, seed, rows):
    """Everything that comes of some steps, as bytes."""
    rng, shown = np.random.default_rng(seed), []
    for _ in range(count):
        observation, reward, _, truncated, info = envs.step(varied_actions(rng, envs, rows))
        arrays = [observation[key] for key in sorted(observation)] + [reward, truncated]
        arrays += [info[key] for key in sorted(info) if not key.startswith(("_", "final"))]
        shown.append([array.tobytes() for array in arrays])
    return shown


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("env_id", IDS)
def test_a_game_goes_on_from_its_state_to_the_same_bytes(env_id, within):
    options = {"num_users": 3, "coherence_time": 0.5, "fading_within_rounds": within, **options_of(env_id)}
    envs, fresh = (make_vec(env_id, 4, autoreset_mode="SameStep", **options) for _ in range(2))
    envs.reset(seed=3)
    played(envs, 17, 0, 4)
    state = envs.unwrapped.state()
    kept = {name: value.copy() for name, value in state.items()}
    seen = envs.unwrapped.observe()
    going_on = played(envs, 60, 1, 4)
    assert all((state[name] == kept[name]).all() for name in kept)
    # A fresh one, one that has played something else, and the same one once more.
    fresh.unwrapped.restore(state)
    assert all((seen[key] == value).all() for key, value in fresh.unwrapped.observe().items())
    assert {name: value.tobytes() for name, value in fresh.unwrapped.state().items()} == {
        name: value.tobytes() for name, value in kept.items()
    }
    assert played(fresh, 60, 1, 4) == going_on
    fresh.reset(seed=99)
    played(fresh, 9, 2, 4)
    for each in (fresh, envs):
        each.unwrapped.restore(state)
        assert played(each, 60, 1, 4) == going_on


def pickled(env):
    """What comes of it in another process."""
    return pickle.loads(pickle.dumps(env))


def pickled_by_value(env):
    """The same as Gymnasium and Stable-Baselines3 send environments to processes."""
    return pickle.loads(pickle.dumps(CloudpickleWrapper(env))).fn


@pytest.mark.parametrize("again", [pickled, pickled_by_value])
@pytest.mark.parametrize("env_id", IDS)
def test_a_pickled_game_goes_on_as_the_original_does(env_id, again):
    envs, single = (
        make_vec(env_id, 3, autoreset_mode="SameStep", **options_of(env_id)),
        make(env_id, **options_of(env_id)).unwrapped,
    )
    envs.reset(seed=3)
    played(envs, 7, 0, 3)
    copy = again(envs)
    assert played(copy, 40, 1, 3) == played(envs, 40, 1, 3)
    single.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        single.step(varied_actions(rng, single, 1)[0])
    twin = again(single)
    for action in varied_actions(rng, single, 10):
        one, other = single.step(action), twin.step(action)
        assert one[1:4] == other[1:4]
        assert all((one[0][key] == value).all() for key, value in other[0].items())
        if one[3]:
            break


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("time", None, "the state's time is missing"),
        ("time", lambda value: value[:2], r"the state's time must have shape \(3,\), got \(2,\)"),
        ("time", lambda value: value - 1e6, r"the state's time must lie in \[0, inf\], got -99"),
        ("time", lambda value: value * np.nan, r"the state's time must lie in \[0, inf\], got nan"),
        ("position", lambda value: value * 1.0, "the state's position must be of type int64, got float64"),
        ("queue_length", lambda value: value + 1000, r"the state's queue_length must lie in \[0, 40\], got 10"),
        ("queue_order", lambda value: value + 40, r"the state's queue_order must lie in \[0, 39\], got 4"),
        ("newcomer_next", lambda value: value - 100, r"the state's newcomer_next must lie in \[0, .*\], got -"),
        ("slot_acceptance_rate", lambda value: value + 2.0, r"slot_acceptance_rate must lie in \[0, 1\], got 2"),
        ("slot_drafting_speed", lambda value: value * 0.0, r"slot_drafting_speed must lie in \[1e-50, 1e\+50\], got 0"),
        ("fade_amplitudes", lambda value: value * np.nan, r"fade_amplitudes must lie in \[-inf, inf\], got nan"),
    ],
)
def test_a_bad_state_is_refused_in_one_line_and_changes_nothing(name, change, message):
    envs = make_vec(SERVE, 3)
    envs.reset(seed=0)
    state = envs.unwrapped.state()
    bad = {key: value for key, value in state.items() if key != name}
    if change is not None:
        bad[name] = change(state[name])
    with pytest.raises(ValueError, match=message) as raised:
        envs.unwrapped.restore(bad)
    assert "\n" not in str(raised.value)
    assert all((state[key] == value).all() for key, value in envs.unwrapped.state().items())


def test_rows_without_a_seed_have_a_state_too():
    envs, other = make_vec(SERVE, 3), make_vec(SERVE, 3)
    envs.unwrapped.restore(other.unwrapped.state())
    assert not envs.unwrapped.state()["seeded"].any()
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        envs.unwrapped.users  # noqa: B018
    assert envs.reset(seed=0)[1]["arrived"].all()


def test_info_and_observations_are_not_changed_later():
    envs = make_vec(SERVE, 3, autoreset_mode="SameStep")
    observation, info = envs.reset(seed=0)
    rng, shown = np.random.default_rng(0), []
    for _ in range(30):
        shown.append([(value, np.copy(value)) for value in (*observation.values(), *info.values())])
        observation, *_, info = envs.step(varied_actions(rng, envs, 3))
        info.pop("final_obs", None), info.pop("final_info", None)
    for pairs in shown:
        for value, kept in pairs:
            np.testing.assert_array_equal(value, kept)

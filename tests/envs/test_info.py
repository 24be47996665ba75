"""Info has one form: the same keys, types and shapes after a reset as after a step."""

import gymnasium as gym
import numpy as np
import pytest

from multispin_gym.envs.variants import VARIANTS

IDS = list(VARIANTS)
COUNTS = {"arrived", "refused", "expired"}
SCALARS = {"goodput", "latency", "verification_time", "optimum", "waited", "time", *COUNTS}
MASKS = {"present", "verified", "given_up", "finished", "on_time"}
# Where a clock runs, time may pass before somebody comes: all that a reset's info says of.
BEFORE_FIRST = {"latency", "waited", "time", *COUNTS}
OPTIONS = [{}, {"optimum": True}, {"reward": "ratio"}, {"sampled": True}]


def cases():
    """Ids with arguments; where a clock runs no reward is a ratio, and rates are hidden from no optimum."""
    for row in VARIANTS.values():
        for options in OPTIONS:
            if not row.clock:
                yield row.id, options
            elif "reward" not in options:
                yield row.id, {**options, "hidden": False} if "optimum" in options else options


def form(info):
    """Type and shape of every entry."""
    return {key: (type(value), np.asarray(value).dtype, np.shape(value)) for key, value in info.items()}


@pytest.mark.parametrize(("env_id", "options"), list(cases()), ids=str)
def test_info_of_a_reset_has_the_form_of_a_steps_info(env_id, options):
    env = gym.make(env_id, num_users=3, num_rounds=2, **options)
    first = env.reset(seed=0)[1]
    steps = [env.step(env.action_space.sample())[4] for _ in range(2)]
    again = env.reset()[1]
    forms = [form(info) for info in (first, *steps, again)]
    assert all(other == forms[0] for other in forms)
    for key, (kind, dtype, shape) in forms[0].items():
        expected = np.bool_ if key in MASKS else np.int64 if key in {"draft_lengths", *COUNTS} else np.float64
        assert (kind, shape) == ((expected, ()) if key in SCALARS else (np.ndarray, (3,))), key
        assert dtype == expected, key
    for info in (first, again):
        passed = BEFORE_FIRST if "time" in info else set()
        nothing = {key: value for key, value in info.items() if key not in passed}
        assert all(np.isnan(value) if key == "optimum" else not np.any(value) for key, value in nothing.items())
        assert len({float(info[key]) for key in passed - COUNTS}) <= 1
    assert ("optimum" in first) is bool({"optimum", "reward"} & set(options))


def test_infos_of_a_recording_are_stacked_key_by_key():
    """What a recorder of data sets does with the infos of an episode, the reset's first."""
    env = gym.make(IDS[0], num_users=3, num_rounds=4, optimum="bound")
    infos = [env.reset(seed=0)[1]] + [env.step(env.action_space.sample())[4] for _ in range(4)]
    stacked = {key: np.stack([info[key] for info in infos]) for key in infos[0]}
    assert {array.shape for array in stacked.values()} == {(5,), (5, 3)}
    assert all(array.dtype.kind in "fi" for array in stacked.values())
    assert (stacked["goodput"][1:] <= stacked["optimum"][1:] * (1.0 + 1e-9)).all()


def test_a_resets_info_is_not_changed_later():
    env = gym.make(IDS[0], num_users=2)
    info = env.reset(seed=0)[1]
    env.step(env.action_space.sample())
    env.reset()[1]["tokens"][:] = 7.0
    assert not any(np.any(value) for value in info.values())


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("env_id", IDS)
def test_rows_that_were_reset_have_played_nothing(env_id, mode):
    options = {"num_users": 2, "num_rounds": 2, "optimum": True, "autoreset_mode": mode}
    if VARIANTS[env_id].clock:
        # A clock that runs, and on it everybody gets tokens in every round.
        options |= {"hidden": False, "arrivals": None, "cutoff": False, "reward": "tokens"}
        options |= {"round_timeout": None, "episode_seconds": None, "coherence_time": 1.0}
    envs = gym.make_vec(env_id, num_envs=3, **options)
    infos = envs.reset(seed=0)[1]
    forms = [form(infos)]
    assert all(infos[key].all() for key in infos if key.startswith("_"))
    assert np.isnan(infos["optimum"]).all()
    envs.step(envs.action_space.sample())
    # Row 1 begins anew, so the others end a step earlier.
    infos = envs.reset(options={"reset_mask": np.array([False, True, False])})[1]
    assert infos["_tokens"].tolist() == infos["_optimum"].tolist() == [False, True, False]
    assert np.isnan(infos["optimum"]).tolist() == [False, True, False]
    infos = envs.step(envs.action_space.sample())[4]
    if mode == "NextStep":
        forms.append(form(infos))
        infos = envs.step(envs.action_space.sample())[4]
    elif mode == "Disabled":
        infos = envs.reset(options={"reset_mask": np.array([True, False, True])})[1]
        assert infos["_tokens"].tolist() == [True, False, True]
        return
    forms.append(form({key: value for key, value in infos.items() if "final" not in key}))
    assert all(other == forms[0] for other in forms)
    assert all(infos[f"_{key}"].all() for key in ("tokens", "optimum", "goodput"))
    assert (infos["tokens"] > 0.0).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(infos["optimum"]).tolist() == [True, False, True]
    if mode == "SameStep":
        final = infos["final_info"]
        assert final["_optimum"].tolist() == [True, False, True]
        assert (final["optimum"][[0, 2]] >= final["goodput"][[0, 2]] * (1.0 - 1e-9)).all()
    # In the step after, every row has played or, in the row whose second round it was, begun anew.
    infos = envs.step(envs.action_space.sample())[4]
    assert infos["_tokens"].all()


def test_where_all_rows_begin_anew_nobody_has_played():
    envs = gym.make_vec(IDS[0], num_envs=2, num_users=2, num_rounds=1, optimum=True)
    envs.reset(seed=0)
    assert envs.step(envs.action_space.sample())[4]["optimum"].min() > 0.0
    infos = envs.step(envs.action_space.sample())[4]
    assert infos["_goodput"].all()
    assert np.isnan(infos["optimum"]).all()
    assert not infos["goodput"].any()

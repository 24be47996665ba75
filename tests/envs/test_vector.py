from __future__ import annotations

import copy
import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import multispin_gym as ms

MULTI = "multispin_gym/MultiSpin-v0"
HOMOGENEOUS = "multispin_gym/MultiSpinHomogeneous-v0"
MODES = ["NextStep", "SameStep", "Disabled"]


def native(env_id=MULTI, num_envs=3, **options):
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def stepwise(env_id=MULTI, num_envs=3, autoreset_mode="NextStep", **options):
    """Gymnasium's own vector environment over single environments."""
    singles = [lambda: gym.make(env_id, **options)] * num_envs
    return SyncVectorEnv(singles, autoreset_mode=AutoresetMode(autoreset_mode))


def assert_equal_play(one, other, mode, steps, seed, rng):
    """Play both with the same actions, resets included, and compare everything they return."""
    assert one.single_observation_space == other.single_observation_space
    assert one.action_space == other.action_space
    assert data_equivalence(one.reset(seed=seed), other.reset(seed=seed), exact=True)
    done = np.zeros(one.num_envs, dtype=bool)
    for _ in range(steps):
        if mode == "Disabled" and done.any():
            assert data_equivalence(
                one.reset(options={"reset_mask": done.copy()}),
                other.reset(options={"reset_mask": done.copy()}),
                exact=True,
            )
        actions = rng.uniform(-1.2, 1.2, one.action_space.shape).astype(np.float32)
        step = one.step(actions)
        assert data_equivalence(step, other.step(actions), exact=True)
        done = step[2] | step[3]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
@pytest.mark.parametrize("scenario", ms.list_scenarios(clock=False))
def test_rows_equal_single_environments_to_the_last_bit(scenario, env_id, sampled, mode):
    options = {"scenario": scenario, "num_users": 3, "num_rounds": 7, "sampled": sampled}
    one = native(env_id, autoreset_mode=mode, **options)
    other = stepwise(env_id, autoreset_mode=mode, **options)
    assert_equal_play(one, other, mode, steps=20, seed=11, rng=np.random.default_rng(5))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
@pytest.mark.parametrize("fading", [ms.Fading("rayleigh"), ms.Fading("rayleigh", 0.8), ms.Fading("none")])
def test_rows_out_of_step_equal_single_environments_across_blocks_of_rounds(fading, env_id, mode):
    scenario = dataclasses.replace(ms.load_scenario("deep_fading"), fading=fading)
    # More users than rounds fit into a block: episodes cross blocks at different steps.
    options = {"scenario": scenario, "num_users": 300, "num_rounds": 19, "sampled": True}
    one = native(env_id, 4, autoreset_mode=mode, **options)
    other = stepwise(env_id, 4, autoreset_mode=mode, **options)
    rng = np.random.default_rng(3)
    assert data_equivalence(one.reset(seed=0), other.reset(seed=0), exact=True)
    done = np.zeros(4, dtype=bool)
    for index in range(70):
        mask = done.copy() if mode == "Disabled" else np.zeros(4, dtype=bool)
        if index % 11 == 5:
            mask |= rng.random(4) < 0.4
        if mask.any():
            seed = int(rng.integers(1000)) if index % 3 == 0 else None
            first = one.reset(seed=seed, options={"reset_mask": mask.copy()})
            assert data_equivalence(first, other.reset(seed=seed, options={"reset_mask": mask.copy()}), exact=True)
        actions = rng.uniform(-1.0, 1.0, one.action_space.shape).astype(np.float32)
        step = one.step(actions)
        assert data_equivalence(step, other.step(actions), exact=True)
        done = step[2] | step[3]


@pytest.mark.parametrize("mode", MODES)
def test_a_step_limit_ends_episodes_as_the_wrapper_does(mode):
    one = native(num_rounds=50, max_episode_steps=4, autoreset_mode=mode)
    other = stepwise(num_rounds=50, max_episode_steps=4, autoreset_mode=mode)
    assert_equal_play(one, other, mode, steps=15, seed=2, rng=np.random.default_rng(0))
    assert_equal_play(
        native(num_rounds=3, max_episode_steps=40, autoreset_mode=mode),
        stepwise(num_rounds=3, autoreset_mode=mode),
        mode,
        steps=10,
        seed=2,
        rng=np.random.default_rng(0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("num_users", [1, 5, 64])
@pytest.mark.parametrize("env_id", [MULTI, HOMOGENEOUS])
def test_a_row_does_not_depend_on_the_number_of_rows(env_id, num_users):
    options = {"num_users": num_users, "num_rounds": 20, "sampled": True, "autoreset_mode": "SameStep"}
    sizes = (1, 3, 600)
    batches = [native(env_id, size, **options) for size in sizes]
    rng = np.random.default_rng(1)
    observed = [envs.reset(seed=100)[0] for envs in batches]
    for _ in range(45):
        actions = rng.uniform(-1.0, 1.0, batches[-1].action_space.shape).astype(np.float32)
        steps = [envs.step(actions[:size]) for envs, size in zip(batches, sizes, strict=True)]
        for name in observed[0]:
            np.testing.assert_array_equal(steps[2][0][name][:3], steps[1][0][name])
            np.testing.assert_array_equal(steps[2][0][name][:1], steps[0][0][name])
        np.testing.assert_array_equal(steps[2][1][:3], steps[1][1])
        np.testing.assert_array_equal(steps[2][1][:1], steps[0][1])


@pytest.mark.parametrize("num_users", [2, 3, 7, 8, 13, 64, 200])
def test_observed_users_give_the_rewards_to_the_last_bit(num_users):
    envs = native(num_envs=50, num_users=num_users).unwrapped
    observations, _ = envs.reset(seed=0)
    actions = envs.action_space.sample()
    decision = envs.decode_action(actions)
    batched = ms.play_round(envs.users_from_observation(observations), envs.cell, decision).goodput
    _, rewards, *_ = envs.step(actions)
    np.testing.assert_array_equal(batched, rewards)
    for row in range(50):
        users = envs.users_from_observation({name: array[row] for name, array in observations.items()})
        assert ms.play_round(users, envs.cell, envs.decode_action(actions[row])).goodput == rewards[row]


def test_seeds_may_be_given_row_by_row():
    listed = native().reset(seed=[5, 9, 7])[0]
    for row, seed in enumerate([5, 9, 7]):
        single = gym.make(MULTI).reset(seed=seed)[0]
        for name, array in single.items():
            np.testing.assert_array_equal(listed[name][row], array)


def test_rows_without_a_seed_go_on_with_their_streams():
    envs, other = native(), native()
    for each in (envs, other):
        each.reset(seed=1)
    mixed, plain = envs.reset(seed=[None, 50, None])[0], other.reset()[0]
    np.testing.assert_array_equal(mixed["drafting_speed"][[0, 2]], plain["drafting_speed"][[0, 2]])
    np.testing.assert_array_equal(mixed["drafting_speed"][1], gym.make(MULTI).reset(seed=50)[0]["drafting_speed"])


def test_without_a_seed_the_environment_reports_the_one_that_it_took():
    envs = native()
    observations, _ = envs.reset()
    again, _ = native().reset(seed=envs.np_random_seed)
    np.testing.assert_array_equal(observations["channel_gain_db"], again["channel_gain_db"])


def test_a_numpy_integer_is_a_seed():
    assert data_equivalence(native().reset(seed=np.int64(4)), native().reset(seed=4), exact=True)


def test_what_was_returned_is_never_changed_later():
    envs = native(num_envs=4, num_rounds=3, autoreset_mode="SameStep", sampled=True)
    kept = [envs.reset(seed=0)] + [envs.step(envs.action_space.sample()) for _ in range(2)]
    copies = copy.deepcopy(kept)
    users, gains = envs.unwrapped.users, envs.unwrapped.users.channel_gain.copy()
    for _ in range(20):
        envs.step(envs.action_space.sample())
    assert data_equivalence(kept, copies, exact=True)
    np.testing.assert_array_equal(users.channel_gain, gains)


def test_the_mode_stands_in_the_metadata_and_defaults_to_gymnasiums():
    assert native().metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert native(autoreset_mode=AutoresetMode.SAME_STEP).metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert native(autoreset_mode="Disabled").metadata["autoreset_mode"] is AutoresetMode.DISABLED


def test_rows_that_ended_ignore_their_actions_in_the_next_step():
    envs = native(num_envs=2, num_rounds=2)
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([True, False])})
    envs.step(envs.action_space.sample())
    actions = envs.action_space.sample()
    actions[1] = np.nan
    _, rewards, _, truncations, infos = envs.step(actions)
    assert rewards[0] > 0.0
    assert rewards[1] == 0.0
    assert truncations.tolist() == [True, False]
    assert infos["_tokens"].tolist() == [True, True]
    assert infos["tokens"][0].min() >= 1.0
    assert not infos["tokens"][1].any()


def test_without_autoreset_an_episode_that_is_over_is_not_played_on():
    envs = native(num_rounds=1, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(ResetNeeded, match=r"the episodes of rows \[1\] are over"):
        envs.step(envs.action_space.sample())


def test_before_the_first_reset_there_is_nothing_to_play():
    envs = native()
    with pytest.raises(ResetNeeded, match="call reset"):
        envs.step(envs.action_space.sample())
    with pytest.raises(ResetNeeded, match="the first reset"):
        envs.reset(options={"reset_mask": np.array([True, False, True])})


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True, False, True], TypeError, "must be a boolean numpy array"),
        (np.array([1, 0, 1]), TypeError, "must be a boolean numpy array"),
        (np.array([True, False]), ValueError, r"must have shape \(3,\), got \(2,\)"),
        (np.zeros(3, dtype=bool), ValueError, "must select at least one row"),
    ],
)
def test_bad_reset_masks_are_refused(mask, error, message):
    envs = native()
    envs.reset(seed=0)
    with pytest.raises(error, match=message):
        envs.reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"options": {"reset_masks": None}}, ValueError, "Did you mean 'reset_mask'"),
        ({"seed": [1, 2]}, ValueError, "seed must be one seed or 3 of them, got 2"),
        ({"seed": [1, 2, -3]}, ValueError, "seed must be a whole number in"),
        ({"seed": [1, 2, 3.0]}, TypeError, "seed must be a whole number, got 3.0"),
    ],
)
def test_bad_resets_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        native().reset(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"autoreset_mode": "Samestep"}, "Did you mean 'SameStep'"),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"num_users": -1}, "num_users"),
    ],
)
def test_bad_arguments_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        native(**options)


def test_actions_of_the_wrong_shape_are_refused():
    envs = native(num_users=2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions must have shape \(3, 4\), got \(3, 5\)"):
        envs.step(np.zeros((3, 5)))


def test_gymnasiums_worker_processes_play_the_same():
    options = {"num_users": 3, "num_rounds": 4}
    workers = gym.make_vec(f"multispin_gym:{MULTI}", num_envs=2, vectorization_mode="async", **options)
    try:
        assert_equal_play(native(num_envs=2, **options), workers, "NextStep", 10, 3, np.random.default_rng(0))
    finally:
        workers.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_gymnasiums_episode_statistics_are_those_of_the_rewards(mode):
    envs = gym.wrappers.vector.RecordEpisodeStatistics(native(num_rounds=5, autoreset_mode=mode))
    envs.reset(seed=0)
    total = np.zeros(3)
    for _ in range(5):
        _, rewards, _, truncations, infos = envs.step(envs.action_space.sample())
        total += rewards
    assert truncations.all()
    np.testing.assert_allclose(infos["episode"]["r"], total)
    assert infos["episode"]["l"].tolist() == [5, 5, 5]


def test_gymnasiums_other_vector_wrappers_work_over_it():
    envs = gym.wrappers.vector.FlattenObservation(native(num_users=2))
    envs = gym.wrappers.vector.NormalizeReward(
        gym.wrappers.vector.RescaleAction(envs, np.float32(0.0), np.float32(1.0))
    )
    envs = gym.wrappers.vector.DictInfoToList(envs)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (3, 6)
    _, rewards, _, _, infos = envs.step(envs.action_space.sample())
    assert np.isfinite(rewards).all()
    assert [info["tokens"].shape for info in infos] == [(2,)] * 3


def test_more_cells_times_users_than_fit_into_memory_are_refused_before_anything_is_drawn():
    with pytest.raises(ValueError, match=r"^cells times num_users must lie in \[1, 4000000\], got 1000000 x 5$"):
        gym.make_vec(MULTI, num_envs=1_000_000, num_users=5, vectorization_mode="vector_entry_point")

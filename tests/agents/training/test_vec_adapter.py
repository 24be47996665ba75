"""The SB3 adapter against SB3's own vector environment over single environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from multispin_gym.agents import SB3VecEnv

ENV_ID = "multispin_gym/MultiSpin-v0"
ROWS, USERS, ROUNDS = 3, 2, 4


def native(mode=AutoresetMode.SAME_STEP, env_id=ENV_ID, **options):
    options = {"num_users": USERS, "num_rounds": ROUNDS, **options}
    return gym.make_vec(env_id, num_envs=ROWS, vectorization_mode="vector_entry_point", autoreset_mode=mode, **options)


def single_rows(**options):
    options = {"num_users": USERS, "num_rounds": ROUNDS, **options}
    return DummyVecEnv([lambda: Monitor(gym.make(ENV_ID, **options)) for _ in range(ROWS)])


@pytest.mark.parametrize("sampled", [False, True])
def test_plays_as_sb3_does_over_single_environments(sampled):
    ours, theirs = SB3VecEnv(native(sampled=sampled)), single_rows(sampled=sampled)
    ours.seed(11)
    theirs.seed(11)
    rng = np.random.default_rng(0)
    mine, other = ours.reset(), theirs.reset()
    for _ in range(3 * ROUNDS + 1):
        assert {key: value.tolist() for key, value in mine.items()} == {k: v.tolist() for k, v in other.items()}
        actions = rng.uniform(-1.0, 1.0, (ROWS, 2 * USERS)).astype(np.float32)
        mine, rewards, dones, infos = ours.step(actions)
        other, expected_rewards, expected_dones, expected_infos = theirs.step(actions)
        assert rewards.dtype == np.float32
        assert rewards.tolist() == expected_rewards.tolist()
        assert dones.tolist() == expected_dones.tolist()
        for info, expected, done in zip(infos, expected_infos, dones, strict=True):
            assert (info == {}) == (not done)
            assert info.get("TimeLimit.truncated", False) == expected["TimeLimit.truncated"]
            if done:
                assert info["episode"]["l"] == expected["episode"]["l"] == ROUNDS
                assert info["episode"]["r"] == pytest.approx(expected["episode"]["r"], abs=1e-6)
                for key, values in expected["terminal_observation"].items():
                    assert info["terminal_observation"][key].tolist() == values.tolist()


def test_observations_survive_the_next_step():
    env = SB3VecEnv(native())
    env.seed(0)
    before = env.reset()
    kept = {key: value.copy() for key, value in before.items()}
    env.step(np.zeros((ROWS, 2 * USERS), dtype=np.float32))
    assert all(np.array_equal(before[key], kept[key]) for key in kept)


def test_a_seed_holds_for_one_reset():
    env = SB3VecEnv(native())
    env.seed(5)
    first, second = env.reset(), env.reset()
    env.seed(5)
    assert np.array_equal(env.reset()["channel_gain_db"], first["channel_gain_db"])
    assert not np.array_equal(second["channel_gain_db"], first["channel_gain_db"])


def test_the_reward_unit_scales_rewards_but_not_the_reported_episode():
    scaled, plain = SB3VecEnv(native(), reward_unit=4.0, terminal_observations=False), SB3VecEnv(native())
    actions = np.zeros((ROWS, 2 * USERS), dtype=np.float32)
    for env in (scaled, plain):
        env.seed(3)
        env.reset()
    for _ in range(ROUNDS):
        _, small, _, infos = scaled.step(actions)
        _, full, _, expected = plain.step(actions)
        assert np.allclose(4.0 * small, full, rtol=1e-6)
    assert infos[0]["episode"]["r"] == expected[0]["episode"]["r"]
    assert "terminal_observation" not in infos[0]


def test_counts_as_monitored_so_that_sb3_evaluates_without_a_warning():
    class Still:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.zeros((ROWS, 2 * USERS), dtype=np.float32), state

    env = SB3VecEnv(native())
    env.seed(1)
    rewards, lengths = evaluate_policy(Still(), env, n_eval_episodes=ROWS, return_episode_rewards=True)
    assert lengths == [ROUNDS] * ROWS
    assert len(set(rewards)) == ROWS


def test_attributes_and_methods_reach_the_environment():
    env = SB3VecEnv(native())
    env.reset()
    assert [cell is env.env.unwrapped.cell for cell in env.get_attr("cell", indices=[0, 2])] == [True, True]
    action = env.env_method("encode_action", env.env.unwrapped.decode_action(np.zeros((ROWS, 2 * USERS))), indices=0)
    assert action[0].shape == (ROWS, 2 * USERS)
    env.set_attr("note", 7)
    assert env.get_attr("note") == [7] * ROWS
    with pytest.raises(ValueError, match="indices must cover all 3 rows"):
        env.set_attr("note", 8, indices=[0])
    assert env.env_is_wrapped(DummyVecEnv) == [False] * ROWS
    assert env.get_images() == [None] * ROWS
    env.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    with pytest.raises(ValueError, match="env must reset in the same step"):
        SB3VecEnv(native(mode))


def test_a_unit_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"reward_unit must lie in \(0, inf\), got 0.0"):
        SB3VecEnv(native(), reward_unit=0.0)

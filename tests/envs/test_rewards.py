"""Rewards, optima in info, and episodes that end after a time."""

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import certify, make_controller, relax

IDS = ("multispin_gym/MultiSpin-v0", "multispin_gym/MultiSpinHomogeneous-v0")


def played(env_id, seed=0, steps=4, **options):
    """Rewards and infos of a few steps of a fixed random agent, with the users of each round."""
    env = gym.make(env_id, num_users=4, **options)
    env.reset(seed=seed)
    env.action_space.seed(seed)
    rounds = []
    for _ in range(steps):
        users = env.unwrapped.users
        _, reward, _, _, info = env.step(env.action_space.sample())
        rounds.append((users, reward, info))
    return env.unwrapped.cell, rounds


@pytest.mark.parametrize("env_id", IDS)
def test_reward_names_pay_what_they_say(env_id):
    weights = [1.0, 2.0, 3.0, 4.0]
    _, goodput = played(env_id)
    for reward, formula in {
        "tokens": lambda info: info["tokens"].sum(),
        "proportional_fair": lambda info: np.log(info["tokens"] / info["latency"]).sum(),
        "goodput": lambda info: info["tokens"].sum() / info["latency"],
    }.items():
        _, rounds = played(env_id, reward=reward)
        for (_, paid, info), (_, _, same) in zip(rounds, goodput, strict=True):
            assert info["goodput"] == same["goodput"]
            assert paid == pytest.approx(formula(info), rel=1e-12)
    for reward, formula in {
        "tokens": lambda info: (weights * info["tokens"]).sum(),
        "goodput": lambda info: (weights * info["tokens"]).sum() / info["latency"],
        "proportional_fair": lambda info: (weights * np.log(info["tokens"] / info["latency"])).sum(),
    }.items():
        _, rounds = played(env_id, reward=reward, weights=weights)
        for _, paid, info in rounds:
            assert paid == pytest.approx(formula(info), rel=1e-12)


def test_ratio_is_goodput_over_the_optimum_in_info():
    cell, rounds = played(IDS[0], reward="ratio")
    for users, reward, info in rounds:
        assert info["optimum"] == pytest.approx(float(relax(users, cell).upper_bound), rel=1e-9)
        assert reward == pytest.approx(info["goodput"] / info["optimum"], rel=1e-12)
        assert 0.0 < reward <= 1.0


@pytest.mark.slow
def test_certified_optimum_is_tighter_than_the_bound_and_above_every_controller():
    cell, rounds = played(IDS[0], optimum="certificate")
    for users, _, info in rounds:
        certificate = certify(users, cell)
        assert info["optimum"] == pytest.approx(float(certificate.upper_bound), rel=1e-6)
        assert info["optimum"] <= float(relax(users, cell).upper_bound) * (1 + 1e-9)
        best = ms.play_round(users, cell, make_controller("heterogeneous")(users, cell)).goodput
        assert best <= info["optimum"] <= best * 1.1


def test_homogeneous_environment_is_measured_against_the_best_common_length():
    cell, rounds = played(IDS[1], optimum=True)
    for users, _, info in rounds:
        best = ms.play_round(users, cell, make_controller("homogeneous")(users, cell)).goodput
        assert info["optimum"] == pytest.approx(float(best), rel=1e-12)


def test_weighted_ratio_uses_the_weighted_optimum():
    weights = [5.0, 1.0, 1.0, 1.0]
    cell, rounds = played(IDS[0], reward="ratio", weights=weights)
    for users, reward, info in rounds:
        bound = float(relax(users, cell, ms.Objective("sum", weights)).upper_bound)
        assert info["optimum"] == pytest.approx(bound, rel=1e-9)
        assert reward == pytest.approx((weights * info["tokens"]).sum() / info["latency"] / bound, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_vector_rows_with_all_options_equal_single_environments(env_id, mode):
    options = {
        "num_users": 3,
        "reward": "ratio",
        "weights": [1.0, 2.0, 0.5],
        "max_time": 0.5,
        "scenario": "deep_fading",
    }
    vec = gym.make_vec(env_id, num_envs=3, vectorization_mode="vector_entry_point", autoreset_mode=mode, **options)
    vec.reset(seed=7)
    vec.action_space.seed(1)
    singles = [gym.make(env_id, **options) for _ in range(3)]
    for row, env in enumerate(singles):
        env.reset(seed=7 + row)
    over = [False] * 3
    ends = 0
    for _ in range(12):
        actions = vec.action_space.sample()
        _, rewards, _, truncations, infos = vec.step(actions)
        for row, env in enumerate(singles):
            if over[row] and mode == "NextStep":
                env.reset()
                over[row] = False
                assert rewards[row] == 0.0
                continue
            _, reward, _, truncated, info = env.step(actions[row])
            assert rewards[row] == reward
            assert truncations[row] == truncated
            shown = infos["final_info"] if truncated and mode == "SameStep" else infos
            assert shown["optimum"][row] == info["optimum"]
            over[row] = truncated
            ends += truncated
            if truncated and mode == "SameStep":
                env.reset()
    assert ends > 3


def test_episode_ends_with_the_round_that_reaches_the_time():
    env = gym.make(IDS[0], num_users=4, max_time=1.0, reward="tokens")
    for seed in range(5):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        clock, tokens, truncated = 0.0, 0.0, False
        while not truncated:
            assert clock < 1.0
            _, reward, terminated, truncated, info = env.step(env.action_space.sample())
            clock += info["latency"]
            tokens += reward
            assert not terminated
        assert clock >= 1.0
        assert tokens > 0.0
        with pytest.raises(gym.error.ResetNeeded):
            env.step(env.action_space.sample())


def test_time_limit_leaves_the_number_of_rounds_open_unless_given():
    rounds = []
    for options in ({}, {"num_rounds": 3}):
        env = gym.make(IDS[0], scenario="laptops_60ms", num_users=2, max_time=30.0, **options)
        env.reset(seed=0)
        count, truncated = 0, False
        while not truncated:
            truncated = env.step(np.zeros(4, dtype=np.float32))[3]
            count += 1
        rounds.append(count)
    assert rounds[0] > ms.load_scenario("laptops_60ms").num_rounds
    assert rounds[1] == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reward": "godput"}, ValueError, r"reward must be one of .*Did you mean 'goodput'"),
        ({"optimum": "bonud"}, ValueError, r"optimum must be one of .*Did you mean 'bound'"),
        ({"optimum": 3}, TypeError, r"optimum must be True, False or one of bound, certificate; got 3"),
        ({"weights": [1.0, 1.0]}, ValueError, r"weights must have one entry for each of the 4 users, got 2"),
        ({"weights": [1.0, 1.0, 1.0, 0.0]}, ValueError, r"weights must lie in \[1e-50, 1e\+50\], got 0.0"),
        ({"weights": 2.0}, ValueError, r"weights must be a list with one weight for each user, got 2.0"),
        ({"max_time": 0.0}, ValueError, r"max_time must lie in \(0, inf\), got 0.0"),
        ({"max_time": float("nan")}, ValueError, r"max_time must lie in \(0, inf\), got nan"),
    ],
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        gym.make(IDS[0], num_users=4, **options)

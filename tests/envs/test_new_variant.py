"""A new environment is one row and one small module: nothing else has to change for it to be played and evaluated."""

import dataclasses

import delayed_variant
import gymnasium as gym
import numpy as np
import pytest
from delayed_variant import DELAY, DELAYED
from gymnasium.utils.env_checker import check_env

from multispin_gym import load_scenario, play_round
from multispin_gym.baselines import certify, make_controller
from multispin_gym.envs.registration import register_variant
from multispin_gym.envs.variants import MULTI_SPIN, VARIANTS
from multispin_gym.evaluation import evaluate

MEASURES = ("goodput", "ratio_to_optimum", "long_run_goodput", "jain_index", "worst_user_rate")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The row, for one test at a time."""
    monkeypatch.setitem(VARIANTS, DELAYED.id, DELAYED)
    register_variant(DELAYED)
    yield
    del gym.registry[DELAYED.id]


def test_it_is_one_module_of_at_most_sixty_lines():
    with open(delayed_variant.__file__, encoding="utf-8") as file:
        assert len(file.read().splitlines()) <= 60


def test_it_is_made_by_its_id_and_passes_the_checker():
    env = gym.make(DELAYED.id, num_users=3)
    check_env(env.unwrapped)
    assert env.reset(seed=0)[0]["delay"].tolist() == [np.float32(DELAY)] * 3
    assert env.unwrapped.cell.verification.fixed == load_scenario("default").cell.verification.fixed + DELAY


def test_its_rounds_last_longer_than_those_of_the_present_game_by_the_delay():
    here, there = (gym.make_vec(i, num_envs=4, num_users=3) for i in (DELAYED.id, MULTI_SPIN.id))
    actions = here.action_space.sample()
    for envs in (here, there):
        envs.reset(seed=5)
    longer, shorter = here.step(actions)[-1], there.step(actions)[-1]
    assert longer["latency"] - shorter["latency"] == pytest.approx(np.full(4, DELAY), rel=1e-9)
    assert (longer["tokens"] == shorter["tokens"]).all()


def test_its_vector_form_equals_its_single_form_row_by_row():
    envs = gym.make_vec(DELAYED.id, num_envs=2, num_users=3)
    seen = envs.reset(seed=7)[0]
    for row in range(2):
        env = gym.make(DELAYED.id, num_users=3)
        alone = env.reset(seed=7 + row)[0]
        assert all((seen[key][row] == alone[key]).all() for key in alone)


@pytest.mark.slow
def test_controllers_and_the_reference_know_of_the_delay():
    result = evaluate(["heterogeneous", "exact"], num_users=3, episodes=3, rounds=4, env_id=DELAYED.id)
    assert result.estimates["exact"]["ratio_to_optimum"].mean == pytest.approx(1.0, abs=1e-6)
    env = gym.make(DELAYED.id, num_users=3).unwrapped
    env.reset(seed=1000)
    best = certify(env.users, env.cell)
    assert best.goodput < certify(env.users, load_scenario("laptops_60ms").cell).goodput
    reward = env.step(env.encode_action(make_controller("exact")(env.users, env.cell)))[1]
    assert reward == pytest.approx(float(best.goodput), rel=1e-4)


@pytest.mark.slow
def test_open_and_closed_loop_give_one_result():
    names = ["uniform_best", "heterogeneous"]
    results = [
        evaluate(names, num_users=3, episodes=5, rounds=9, sampled=True, env_id=DELAYED.id, loop=loop)
        for loop in ("open", "closed")
    ]
    for name in names:
        for measure in MEASURES:
            one, other = (getattr(result.policies[name], measure) for result in results)
            assert one.tolist() == other.tolist()


def test_a_row_that_says_nothing_of_its_draws_is_played_for_each_policy(monkeypatch):
    monkeypatch.setitem(VARIANTS, DELAYED.id, dataclasses.replace(DELAYED, exogenous=False))
    result = evaluate({"mine": make_controller("tk_slt")}, num_users=2, episodes=2, rounds=3, env_id=DELAYED.id)
    assert result.loop == result.to_dict()["loop"] == "closed"
    with pytest.raises(ValueError, match="loop must be 'closed' for multispin_gym/Delayed-v0"):
        evaluate(["tk_slt"], env_id=DELAYED.id, loop="open")


def test_users_come_back_from_its_observations():
    env = gym.make(DELAYED.id, num_users=3).unwrapped
    observation, _ = env.reset(seed=2)
    users = env.users_from_observation(observation)
    decision = make_controller("heterogeneous")(users, env.cell)
    assert (users.channel_gain == env.users.channel_gain).all()
    assert play_round(users, env.cell, decision).goodput > 0.0

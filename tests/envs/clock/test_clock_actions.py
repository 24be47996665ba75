"""Cut-offs and requests that are given up are entries of the action."""

import math

import gymnasium as gym
import numpy as np
import pytest
from clock_games import ARRIVING, DEADLINE, HIDDEN, IDS, SERVE, STALE, lively, make, make_vec, varied_actions

from multispin_gym import Decision

SIZES = {DEADLINE: 16, STALE: 17, HIDDEN: 16, SERVE: 17}


@pytest.mark.parametrize("env_id", IDS)
def test_an_action_has_two_entries_for_each_user_and_one_for_the_cutoff(env_id):
    assert gym.make(env_id).action_space == gym.spaces.Box(-1.0, 1.0, (SIZES[env_id],), np.float32)
    if env_id != STALE:
        assert gym.make(env_id, admission=True).action_space.shape == (SIZES[env_id] + 8,)
    assert gym.make(env_id, cutoff=False).action_space.shape == (16,)


@pytest.mark.parametrize("options", [{}, {"admission": True}], ids=str)
def test_decisions_come_back_from_their_actions(options):
    env = gym.make(SERVE, num_users=4, **options).unwrapped
    rng = np.random.default_rng(0)
    lengths, shares = rng.integers(1, 26, (50, 4)), rng.dirichlet(np.full(4, 5.0), 50)
    cutoff = np.exp(rng.uniform(math.log(0.05), math.log(5.0), 50))
    cutoff[:3] = 0.05, 5.0, math.inf
    action = env.encode_action(Decision(lengths, shares, cutoff))
    assert (action.dtype, action.shape) == (np.float32, (50, *env.action_space.shape))
    assert env.action_space.contains(action[1])
    decision = env.decode_action(action)
    np.testing.assert_array_equal(decision.draft_lengths, lengths)
    np.testing.assert_allclose(decision.bandwidth_shares, shares, rtol=1e-5)
    np.testing.assert_allclose(decision.cutoff, cutoff, rtol=1e-5)
    assert (action[..., 8:-1] == -1.0).all()
    np.testing.assert_array_equal(env.encode_action(decision), action)


def test_who_is_given_up_comes_back_from_actions_and_is_played_like_them():
    envs, twin = (make_vec(DEADLINE, 30, num_users=4, admission=True, load=5.0) for _ in range(2))
    for each in (envs, twin):
        each.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(10):
        present, gone = envs.unwrapped.users.present, rng.random((30, 4)) < 0.3
        lengths = np.where(present & ~gone, 3, 0)
        shares = np.where(lengths > 0, 0.25, 0.0)
        decision = Decision(lengths, shares, give_up=gone)
        action = envs.unwrapped.encode_action(decision)
        decoded = envs.unwrapped.decode_action(action)
        np.testing.assert_array_equal(decoded.give_up, gone)
        info = envs.step(action)[4]
        played = twin.unwrapped._game.play_decision(decoded)
        twin.unwrapped._game.advance()
        np.testing.assert_array_equal(info["given_up"], gone & present)
        np.testing.assert_array_equal(info["given_up"], played.service.given_up)
        np.testing.assert_array_equal(info["delivered"], played.service.delivered)


@pytest.mark.parametrize("env_id", IDS)
def test_where_actions_give_nobody_up_a_decision_that_does_is_none(env_id):
    env = gym.make(env_id, num_users=2).unwrapped
    assert env.encode_action(Decision([1, 1], 0.5, give_up=False)).size == SIZES[env_id] - 12
    with pytest.raises(ValueError, match="give_up must be False for everybody to be an action here"):
        env.encode_action(Decision([1, 1], 0.5, give_up=[True, False]))


def test_the_last_entry_is_the_logarithm_of_the_cutoff_and_one_means_none():
    env = gym.make(STALE, num_users=2).unwrapped
    action = np.zeros((6, 5), np.float32)
    action[:, -1] = -1.0, -0.5, 0.0, 0.5, np.nextafter(np.float32(1.0), np.float32(0.0)), 1.0
    expected = [0.05, 0.05 * 100**0.25, 0.5, 0.05 * 100**0.75, 5.0, math.inf]
    assert env.decode_action(action).cutoff == pytest.approx(expected, rel=1e-6)
    # What is beyond the range is the nearest in it; and no cut-off is one, too.
    beyond = Decision([[3, 3]] * 3, [[0.5, 0.5]] * 3, [1e-3, 50.0, math.inf])
    assert env.decode_action(env.encode_action(beyond)).cutoff == pytest.approx([0.05, 5.0, math.inf], rel=1e-6)
    none = Decision([3, 3], [0.5, 0.5])
    assert env.encode_action(none)[-1] == 1.0


def test_an_entry_that_is_no_number_is_refused():
    env = make(STALE, num_users=2)
    env.reset(seed=0)
    for index in (1, 4):
        action = np.zeros(5, np.float32)
        action[index] = np.nan
        with pytest.raises(ValueError, match=rf"action must lie in \[-1, 1\], got nan at index .*{index}"):
            env.step(action)
    with pytest.raises(ValueError, match=r"action must have shape \(5,\), got \(4,\)"):
        env.step(np.zeros(4, np.float32))


def test_a_cutoff_ends_the_wait_and_the_time_limit_ends_it_where_there_is_none():
    envs = make_vec(STALE, 200, round_timeout=1.5)
    envs.reset(seed=0)
    actions = varied_actions(np.random.default_rng(0), envs, 200)
    cutoff = np.minimum(envs.unwrapped.decode_action(actions).cutoff, 1.5)
    info = envs.step(actions)[4]
    waited = info["latency"] - info["verification_time"]
    late = (~info["verified"]).any(axis=1)
    assert 20 < late.sum() < 180
    np.testing.assert_allclose(waited[late], cutoff[late], rtol=1e-9)
    arrival = (info["drafting_time"] + info["upload_time"]).max(axis=1)
    np.testing.assert_allclose(waited[~late], arrival[~late], rtol=1e-9)


@pytest.mark.parametrize("env_id", [*ARRIVING, HIDDEN])
def test_a_request_that_is_given_up_leaves_at_once_and_is_counted(env_id):
    envs = make_vec(env_id, 100, num_users=4, admission=True, episode_seconds=1e6)
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(10):
        before = envs.unwrapped.state()
        actions = varied_actions(rng, envs, 100)
        actions[:, 8:12] = np.where(rng.random((100, 4)) < 0.3, 0.01, 0.0)
        chosen = (actions[:, 8:12] > 0.0) & before["slot_present"]
        info = envs.step(actions)[4]
        np.testing.assert_array_equal(info["given_up"], chosen)
        np.testing.assert_array_equal(info["present"], before["slot_present"] & ~chosen)
        assert not info["tokens"][chosen].any()
        assert not info["finished"][chosen].any()
        after = envs.unwrapped.state()
        playing = after["time"] > before["time"]
        same = (after["slot_arrival"] == before["slot_arrival"]) & after["slot_present"]
        assert not (same & chosen)[playing].any()


def test_a_round_in_which_everybody_is_given_up_takes_no_time():
    env = make(DEADLINE, num_users=2, admission=True, load=5.0)
    env.reset(seed=0)
    action = np.ones(6, np.float32)
    for _ in range(20):
        *_, ended, info = env.step(action)
        assert info["verification_time"] == info["goodput"] == 0.0
        assert info["latency"] == info["waited"]
        if ended:
            env.reset()


def test_a_decision_gives_nothing_to_who_is_absent_and_its_band_to_the_others():
    envs = make_vec(DEADLINE, 50, load=0.3)
    envs.reset(seed=0)
    decision = Decision(np.full((50, 8), 4), np.full((50, 8), 0.1))
    present = envs.unwrapped.users.present
    info = envs.step(envs.unwrapped.encode_action(Decision(np.full((50, 8), 4), np.full((50, 8), 0.125))))[4]
    np.testing.assert_array_equal(info["draft_lengths"], np.where(present, 4, 0))
    expected = present / present.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(info["bandwidth_shares"], expected, rtol=1e-6)
    game = envs.unwrapped._game
    played = game.play_decision(decision)
    assert played.decision.bandwidth_shares.sum(axis=1) == pytest.approx(0.8)
    assert not played.service.given_up.any()


def test_a_place_that_is_held_stays_empty_while_others_wait_and_fills_when_it_is_opened():
    envs = make_vec(DEADLINE, 40, scenario=lively(DEADLINE, longest=300), num_users=4, admission=True, load=20.0)
    envs.reset(seed=0)
    game, held, filled = envs.unwrapped._game, 0, 0
    for step in range(30):
        present, waiting = game.slots.present.copy(), game.waiting.copy()
        actions = np.zeros((40, 12), np.float32)
        actions[:, :4], actions[:, 8:] = -0.8, np.where(present, -1.0, 1.0)
        opened = step % 10 == 9
        if opened:
            actions[:, 8:] = -1.0
        info = envs.step(actions)[4]
        stays = present & ~info["finished"] & (info["expired"] == 0)[:, None]
        after = game.slots.present
        assert not (after & ~present & stays.any(axis=1)[:, None]).any() or opened
        held += int(((game.waiting > 0) & ~after.all(axis=1)).sum())
        # Opened, everybody who waits and finds a place enters.
        if opened:
            assert (after.all(axis=1) | (game.waiting == 0)).all()
            filled += int((after.sum(axis=1) - present.sum(axis=1))[waiting > 0].clip(0).sum())
        assert after.any(axis=1).all() or game.ended.any()
    assert held > 100
    assert filled > 20

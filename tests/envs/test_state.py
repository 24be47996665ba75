"""Environments save where they stand and go on from there."""

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.envs.observations import ObservationCodec
from multispin_gym.envs.variants import VARIANTS


def made(env_id, **options):
    return gym.make_vec(env_id, num_envs=3, vectorization_mode="vector_entry_point", num_users=2, **options)


def steps(envs, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        action = rng.uniform(-1.0, 1.0, envs.action_space.shape).astype(np.float32)
        observation, reward, _, truncated, _ = envs.step(action)
        yield [observation[key].tobytes() for key in sorted(observation)], reward.tobytes(), truncated.tolist()


@pytest.mark.parametrize("env_id", list(VARIANTS))
@pytest.mark.parametrize("options", [{"sampled": True}, {"scenario": "deep_fading", "sampled": True}], ids=str)
def test_an_environment_goes_on_from_its_state_bit_for_bit_over_ends_of_episodes(env_id, options):
    envs, other = (made(env_id, num_rounds=20, autoreset_mode="SameStep", **options) for _ in range(2))
    envs.reset(seed=3)
    list(steps(envs, 27, seed=0))
    state = envs.unwrapped.state()
    kept = {name: value.copy() for name, value in state.items()}
    going_on = list(steps(envs, 70, seed=1))
    # What was saved does not change as the game goes on.
    assert all((state[name] == kept[name]).all() for name in kept)
    other.unwrapped.restore(state)
    assert list(steps(other, 70, seed=1)) == going_on


def test_the_observation_of_a_restored_environment_is_the_one_that_was_seen():
    envs, other = made("multispin_gym/MultiSpin-v0"), made("multispin_gym/MultiSpin-v0")
    envs.reset(seed=3)
    seen = envs.step(np.zeros(envs.action_space.shape, dtype=np.float32))[0]
    other.unwrapped.restore(envs.unwrapped.state())
    restored = other.unwrapped.observe()
    assert all((restored[key] == seen[key]).all() for key in seen)


def test_a_state_of_another_size_is_refused():
    envs, larger = (
        made("multispin_gym/MultiSpin-v0"),
        gym.make_vec("multispin_gym/MultiSpin-v0", num_envs=4, num_users=2),
    )
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"the state's seeded must have shape \(4,\), got \(3,\)"):
        larger.unwrapped.restore(envs.unwrapped.state())


def test_users_are_shown_alike_whether_their_gains_in_decibels_are_known_or_not():
    scenario = ms.load_scenario("laptops_60ms")
    codec = ObservationCodec(scenario, 4)
    users = scenario.sample_users(np.random.default_rng(0), 4, batch=(50,))
    shown = codec.encode(users)
    known = codec.encode(users, scenario.gain_to_db(users.channel_gain))
    assert all((shown[key] == known[key]).all() and shown[key].dtype == np.float32 for key in known)
    assert (codec.users(shown).channel_gain == users.channel_gain).all()
    # Twice the power shows as twice the gain.
    stronger = ms.Users(users.acceptance_rate, users.drafting_speed, users.channel_gain, 2.0 * users.transmit_power)
    gained = codec.encode(stronger)["channel_gain_db"] - shown["channel_gain_db"]
    assert gained == pytest.approx(np.full((50, 4), 10.0 * np.log10(2.0)), abs=2e-5)

"""Uploads over channels that change meanwhile, against numerical integration and against frozen channels."""

import math

import numpy as np
import pytest
from clock_draws import FADING, episode_keys, fade_amplitudes
from clock_games import DEADLINE, IDS, SERVE, STALE, make_vec, varied_actions

from multispin_gym import Decision

WITHIN = {"fading_within_rounds": True, "report_noise_db": 0}


def powers(seed, num_users, correlation, count):
    """Powers of the fades of a seed at the first instants. Shape (count, K)."""
    return np.square(fade_amplitudes(episode_keys(seed)[FADING], num_users, correlation, count)).sum(axis=1)


def integrated(rate, bits, start, limit, steps_per_second):
    """When an upload that begins at a time has sent its bits; infinite where it has not by the limit."""
    time = start
    while bits > 0.0 and time <= limit:
        bits -= rate(time) / steps_per_second
        time += 1.0 / steps_per_second
    return time - start if bits <= 0.0 else math.inf


@pytest.mark.parametrize("coherence", [0.2, 1.0])
def test_an_upload_lasts_until_its_bits_are_sent(coherence):
    num_users, limit = 4, 2.0
    envs = make_vec(
        STALE, 3, num_users=num_users, coherence_time=coherence, round_timeout=limit, cutoff=False, **WITHIN
    )
    envs.reset(seed=0)
    rng, spacing, lost, longest = np.random.default_rng(0), coherence / 8.0, 0, 0.0
    state = envs.unwrapped.state()
    fades = [powers(row, num_users, math.exp(-1.0 / 8.0), 1000) for row in range(3)]
    for _ in range(6):
        cell, users = envs.unwrapped.cell, envs.unwrapped.users
        lengths, shares = rng.integers(0, 20, (3, num_users)), rng.dirichlet(np.full(num_users, 0.3), 3)
        shares *= 0.2
        began = envs.unwrapped.state()["time"]
        game = envs.unwrapped._game
        outcome = game.play_decision(Decision(lengths, shares)).outcome
        game.advance()
        for row in range(3):
            for user in range(num_users):
                drafted = lengths[row, user] / users.drafting_speed[row, user]
                gain = state["slot_mean_gain"][row, user] * fades[row][:, user]
                snr = users.transmit_power[row, user] * gain / cell.noise_power
                rates = shares[row, user] * cell.bandwidth * np.log2(1.0 + snr)
                found = integrated(
                    lambda time, rates=rates: rates[int(time / spacing)],
                    lengths[row, user] * cell.payload,
                    began[row] + drafted,
                    began[row] + limit,
                    20_000.0,
                )
                if math.isfinite(found) and drafted + found < limit - 1e-3:
                    assert outcome.upload_time[row, user] == pytest.approx(found, abs=2e-4)
                    longest = max(longest, found)
                elif not math.isfinite(found) or drafted + found > limit + 1e-3:
                    assert drafted + outcome.upload_time[row, user] > limit
                    assert not outcome.verified[row, user]
                    lost += 1
    assert longest > 2.0 * spacing or coherence > 0.5
    assert lost > 3


@pytest.mark.parametrize("env_id", IDS)
def test_a_channel_that_hardly_changes_is_the_frozen_one(env_id):
    still = {"coherence_time": 1e7, "episode_seconds": 1e6, "load": 0.9} if env_id in (DEADLINE, SERVE) else {}
    still = still or {"coherence_time": 1e7, "episode_seconds": 1e6}
    frozen, moving = (make_vec(env_id, 20, fading_within_rounds=within, **still) for within in (False, True))
    for envs in (frozen, moving):
        envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = varied_actions(rng, frozen, 20)
        (seen, paid, *_, said), (found, got, *_, told) = frozen.step(actions), moving.step(actions)
        np.testing.assert_array_equal(paid, got)
        for one, other in ((seen, found), (said, told)):
            for key, value in one.items():
                np.testing.assert_array_equal(value, other[key], err_msg=key)


def test_fades_that_go_on_are_those_of_the_frozen_game():
    """Uploads look ahead; what later rounds see is what it would have been."""
    frozen, moving = (
        make_vec(
            STALE,
            10,
            coherence_time=0.3,
            report_age=0.4,
            fading_within_rounds=within,
            cutoff=False,
            episode_seconds=1e6,
        )
        for within in (False, True)
    )
    for envs in (frozen, moving):
        envs.reset(seed=0)
        # Without drafts rounds last alike.
        for _ in range(60):
            envs.step(np.full((10, 16), -1.0, np.float32))
    np.testing.assert_array_equal(frozen.unwrapped.users.channel_gain, moving.unwrapped.users.channel_gain)
    for key, value in frozen.unwrapped.observe().items():
        np.testing.assert_array_equal(value, moving.unwrapped.observe()[key])


def test_a_draft_that_is_never_sent_is_lost_at_the_limit():
    envs = make_vec(STALE, 1, num_users=2, round_timeout=0.5, cutoff=False, **WITHIN)
    envs.reset(seed=0)
    outcome = envs.unwrapped._game.play_decision(Decision([[2, 2]], [[1.0, 0.0]])).outcome
    assert outcome.verified.tolist() == [[True, False]]
    assert outcome.upload_time[0, 1] == math.inf
    assert outcome.latency[0] - outcome.verification_time[0] == 0.5

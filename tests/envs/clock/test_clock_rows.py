"""Rows of the native form are the single environment, to the last bit, whatever comes and goes."""

import numpy as np
import pytest
from clock_games import ARRIVING, DEADLINE, HIDDEN, IDS, SERVE, make, make_vec, varied_actions

EVENTS = ("lost", "expired", "refused", "finished", "given_up", "waited", "surplus")


def assert_same(row, batch, single):
    """Entries of a row, and those of the single environment."""
    assert {key for key in batch if not key.startswith(("_", "final"))} == set(single)
    for key, value in single.items():
        found = np.asarray(batch[key][row])
        assert found.dtype == np.asarray(value).dtype, key
        np.testing.assert_array_equal(found, value, err_msg=key)


def reset_all(envs, singles, seed):
    observation, info = envs.reset(seed=seed)
    for row, single in enumerate(singles):
        seen, said = single.reset(seed=seed + row)
        assert_same(row, observation, seen)
        assert_same(row, info, said)


def reset_ended(envs, singles, over):
    """Begin the episodes of some rows anew by hand."""
    observation, info = envs.reset(options={"reset_mask": np.array(over)})
    for row in np.flatnonzero(over):
        seen, said = singles[row].reset()
        assert_same(row, observation, seen)
        assert_same(row, info, said)


def compare(env_id, mode, num_steps, seed, **options):
    """Play both; return how often what happened."""
    envs = make_vec(env_id, 3, autoreset_mode=mode, **options)
    singles = [make(env_id, **options) for _ in range(3)]
    reset_all(envs, singles, seed)
    rng, over, counts = np.random.default_rng(seed), [False] * 3, dict.fromkeys((*EVENTS, "ended"), 0.0)
    for _ in range(num_steps):
        if mode == "Disabled" and any(over):
            reset_ended(envs, singles, over)
            over = [False] * 3
        actions = varied_actions(rng, envs, 3)
        observation, reward, terminated, truncated, info = envs.step(actions)
        assert not terminated.any()
        for row, single in enumerate(singles):
            if mode == "NextStep" and over[row]:
                seen, said = single.reset()
                assert (reward[row], truncated[row]) == (0.0, False)
            else:
                seen, paid, _, ended, said = single.step(actions[row])
                assert (reward[row], truncated[row]) == (paid, ended)
                for event in EVENTS:
                    counts[event] += np.sum(said[event])
                counts["ended"] += ended
                if mode == "SameStep" and ended:
                    assert all((info["final_obs"][row][key] == seen[key]).all() for key in seen)
                    assert_same(row, info["final_info"], said)
                    seen, said = single.reset()
            assert_same(row, observation, seen)
            assert_same(row, info, said)
        over = truncated.tolist()
    return counts


@pytest.mark.parametrize("num_users", [1, 3, 8])
@pytest.mark.parametrize("env_id", IDS)
def test_rows_are_the_single_environment(env_id, num_users):
    crowded = {"load": 5.0} if env_id == SERVE else {}
    counts = compare(env_id, "SameStep", 60, seed=3, num_users=num_users, **crowded)
    assert counts["ended"] > 0
    if env_id == SERVE:
        assert all(counts[event] > 0 for event in ("lost", "expired", "refused"))
    if env_id == DEADLINE and num_users > 1:
        assert all(counts[event] > 0 for event in ("expired", "finished", "surplus"))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("env_id", ARRIVING)
def test_rows_are_the_single_environment_where_requests_are_given_up_and_their_lengths_hidden(env_id, mode):
    counts = compare(env_id, mode, 60, seed=8, num_users=3, admission=True, length_known=False)
    assert counts["ended"] > 0
    assert counts["given_up"] > 0


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_rows_are_the_single_environment_where_requests_are_replaced(mode):
    counts = compare(HIDDEN, mode, 60, seed=1, num_users=3, admission=True, length_known=False)
    assert all(counts[event] > 0 for event in ("ended", "given_up", "finished", "surplus"))


@pytest.mark.parametrize("load", [0.05, 5.0])
def test_rows_are_the_single_environment_where_nobody_or_everybody_comes(load):
    counts = compare(SERVE, "SameStep", 60, seed=4, num_users=2, load=load, report_noise_db=3.0)
    assert counts["waited" if load < 1.0 else "refused"] > 0


def test_rows_are_the_single_environment_where_fades_go_on_during_uploads():
    assert compare(SERVE, "SameStep", 40, seed=4, num_users=3, fading_within_rounds=True, coherence_time=0.3)["lost"]


def test_rows_are_the_single_environment_where_fades_remember_the_round_before():
    assert compare(DEADLINE, "SameStep", 60, seed=4, num_users=3, coherence_time=0)["expired"]

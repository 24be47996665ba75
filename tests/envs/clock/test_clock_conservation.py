"""Nothing is lost from the books: tokens, requests and time add up in every one of 10,000 random rounds."""

import numpy as np
import pytest
from clock_games import ARRIVING, HIDDEN, IDS, STALE, make_vec, varied_actions

CELLS, ROUNDS = 200, 50


def rounds(env_id, **options):
    """State before, info and state after each random round of cells whose episodes do not end."""
    envs = make_vec(env_id, CELLS, episode_seconds=1e6, **options)
    info = envs.reset(seed=7)[1]
    before = envs.unwrapped.state()
    yield None, info, before
    rng = np.random.default_rng(1)
    for _ in range(ROUNDS):
        info = envs.step(varied_actions(rng, envs, CELLS))[4]
        after = envs.unwrapped.state()
        yield before, info, after
        before = after


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("env_id", IDS)
def test_every_token_is_delivered_surplus_rejected_or_lost(env_id, sampled):
    seen = dict.fromkeys(("surplus", "rejected", "lost"), 0.0)
    options = {} if env_id == STALE else {"admission": True}
    for before, info, _ in rounds(env_id, sampled=sampled, hidden=False, round_timeout=1.0, **options):
        if before is None:
            continue
        parts = [info[name] for name in ("delivered", "surplus", "rejected", "lost")]
        assert all((part >= -1e-12).all() for part in parts)
        total = info["drafted"] + info["verified"]
        np.testing.assert_allclose(total, sum(parts), rtol=0.0, atol=0.0 if sampled else 1e-9)
        np.testing.assert_allclose(info["tokens"], parts[0] + parts[1], rtol=0.0, atol=0.0 if sampled else 1e-9)
        for name in seen:
            seen[name] += info[name].sum()
        away = ~info["present"]
        for name in ("tokens", "drafted", "delivered", "verified", "finished", "bandwidth_shares", "draft_lengths"):
            assert not info[name][away].any(), name
        # All of the band is split among those present, if anybody drafts.
        drafts = (info["draft_lengths"] > 0).any(axis=1)
        np.testing.assert_allclose(info["bandwidth_shares"].sum(axis=1)[drafts], 1.0, rtol=0.0, atol=1e-9)
        assert (info["on_time"] <= info["finished"]).all()
        assert (info["finished"] <= info["verified"]).all()
        late = info["present"] & ~info["verified"]
        np.testing.assert_array_equal(info["lost"] > 0.0, late)
        assert (info["drafting_time"] + info["upload_time"] <= 1.0 + 1e-12)[late].all()
    assert seen["rejected"] > 0.0
    assert seen["lost"] > 0.0
    assert (seen["surplus"] > 0.0) == (env_id != STALE)


@pytest.mark.parametrize("env_id", [*ARRIVING, HIDDEN])
def test_what_a_finished_request_was_given_is_its_length(env_id):
    given, finished = np.zeros((CELLS, 8)), 0
    for before, info, after in rounds(env_id, admission=True):
        if before is None:
            continue
        given += info["delivered"]
        lengths = before["slot_length"]
        assert (given <= lengths + 1e-9)[info["present"]].all()
        np.testing.assert_array_equal(given[info["finished"]], lengths[info["finished"]])
        first = (info["time_to_first_token"] > 0.0) & (info["time_per_token"] >= 0.0)
        np.testing.assert_array_equal(first, info["finished"])
        finished += np.count_nonzero(info["finished"])
        # Whoever is new, or has a new request, has been given nothing.
        new = (after["slot_arrival"] != before["slot_arrival"]) | ~after["slot_present"]
        assert new[info["finished"] | info["given_up"]].all()
        given[new] = 0.0
        left = after["slot_length"] - given
        np.testing.assert_allclose(after["slot_remaining"][after["slot_present"]], left[after["slot_present"]])
    assert finished > 1000


@pytest.mark.parametrize(("load", "admission"), [(0.2, False), (0.9, True), (6.0, False)])
@pytest.mark.parametrize("env_id", ARRIVING)
def test_every_request_that_came_is_somewhere(env_id, load, admission):
    books = dict.fromkeys(("arrived", "refused", "expired", "given_up", "finished"), 0)
    for _, info, after in rounds(env_id, load=load, admission=admission):
        for name in books:
            books[name] = books[name] + (info[name] if info[name].ndim == 1 else info[name].sum(axis=1))
        here = after["queue_length"] + after["slot_present"].sum(axis=1)
        gone = sum(books[name] for name in books if name != "arrived")
        np.testing.assert_array_equal(books["arrived"], gone + here)
        assert (after["queue_length"] <= 4 * 8).all()
        # Nobody waits while a slot is free that is not held, and somebody is there.
        assert admission or after["slot_present"].all(axis=1)[after["queue_length"] > 0].all()
        assert after["slot_present"].any(axis=1).all()
    assert (books["refused"].sum() > 0) == (load >= 0.9)
    assert all(books[name].sum() > 0 for name in ("expired", "finished"))
    assert (books["given_up"].sum() > 0) == admission


@pytest.mark.parametrize("env_id", IDS)
def test_the_durations_of_steps_add_up_to_the_time(env_id):
    time = np.zeros(CELLS)
    for before, info, after in rounds(env_id, **({"load": 0.1} if env_id in ARRIVING else {})):
        time += info["latency"]
        np.testing.assert_allclose(info["time"], time, rtol=1e-12)
        np.testing.assert_array_equal(after["time"], info["time"])
        if before is not None:
            assert (info["latency"] >= info["waited"]).all()
    assert (time > 1.0).all()


@pytest.mark.parametrize("env_id", [STALE, HIDDEN])
def test_where_nobody_comes_nothing_is_counted(env_id):
    for _, info, after in rounds(env_id):
        assert not any(info[name].any() for name in ("arrived", "refused", "expired", "waited"))
        assert after["slot_present"].all()

"""Rounds with absent users, cut-offs, a round trip and a downlink: against a plain loop, and what must be conserved."""

import dataclasses
import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multispin_gym import AffineVerification, Cell, Decision, TableVerification, Users, play_round
from multispin_gym.physics.rounds import RoundOutcome, compute_round

SERVERS = {
    "per draft": AffineVerification(0.02, per_draft=0.01),
    "padded": AffineVerification(0.02, per_draft=0.004, per_token=5e-4),
    "ragged": AffineVerification(0.02, per_draft=0.004, per_token=5e-4, batching="ragged"),
    "padded table": TableVerification([2, 8, 20], [0.03, 0.05, 0.04]),
    "ragged table": TableVerification([2, 8, 20], [0.03, 0.05, 0.04], "ragged"),
}
OF_USERS = ("tokens", "drafting_time", "upload_time")
OF_ROUNDS = ("verification_time", "latency", "goodput")


def make_cell(server="padded", power="total", **changes):
    values = {"min_draft_length": 0, "max_draft_length": 9, **changes}
    return Cell(2e6, 4e-18, 31_744.0, SERVERS[server], power, **values)


def draw(shape, seed, present=0.7):
    rng = np.random.default_rng(seed)
    users = Users(
        rng.uniform(0.1, 1.0, shape),
        rng.uniform(20.0, 200.0, shape),
        rng.exponential(1e-8, shape),
        0.01,
        None if present is None else rng.random(shape) < present,
    )
    shares = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    return users, Decision(rng.integers(0, 10, shape), shares, rng.uniform(0.02, 0.6, shape[:-1]))


def plain_round(users, cell, lengths, shares, cutoff):
    """One round in plain Python, by the rules as they are written down."""
    people = [k for k in range(users.num_users) if users.present is None or users.present[k]]
    arrival = {}
    for k in people:
        arrival[k] = 0.0
        if lengths[k] > 0:
            strength = users.transmit_power[k] * users.channel_gain[k] / cell.noise_psd
            band = shares[k] * cell.bandwidth
            over = strength / (band if cell.power == "total" else cell.bandwidth) if band else math.inf
            rate = band * math.log2(1.0 + over) if band else 0.0
            upload = lengths[k] * cell.payload / rate if rate else math.inf
            arrival[k] = lengths[k] / users.drafting_speed[k] + upload + cell.round_trip
    batch = [k for k in people if arrival[k] <= cutoff]
    start = min(cutoff, max(arrival.values(), default=0.0))
    server, padded = cell.verification, cell.verification.batching == "padded"
    drafted = [lengths[k] for k in batch]
    count = len(batch) * (max(drafted, default=0) + 1) if padded else sum(drafted) + len(batch)
    verification = float(server.time(count, len(batch))) if batch else 0.0
    down = cell.downlink_payload / cell.downlink if cell.downlink is not None and batch else 0.0
    tokens = [
        sum(users.acceptance_rate[k] ** i for i in range(lengths[k] + 1)) if k in batch else 0.0
        for k in range(users.num_users)
    ]
    latency = start + verification + down
    goodput = sum(tokens) / latency if latency > 0.0 else 0.0
    return batch, {"tokens": tokens, "verification_time": verification, "latency": latency, "goodput": goodput}


@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("delays", [{}, {"round_trip": 0.03, "downlink": 400.0}, {"downlink": 2e3}])
def test_rounds_equal_a_plain_loop(server, power, delays):
    cell = make_cell(server, power, **delays)
    for present, cut in itertools.product([None, 0.6], [False, True]):
        users, decision = draw((60, 4), seed=3, present=present)
        if not cut:
            decision = Decision(decision.draft_lengths, decision.bandwidth_shares)
        outcome = play_round(users, cell, decision)
        for i in range(60):
            cutoff = float(decision.cutoff[i]) if cut else math.inf
            lengths, shares = decision.draft_lengths[i].tolist(), decision.bandwidth_shares[i].tolist()
            batch, expected = plain_round(users[i], cell, lengths, shares, cutoff)
            for name, value in expected.items():
                np.testing.assert_allclose(getattr(outcome, name)[i], value, rtol=1e-9, err_msg=name)
            if outcome.verified is None:
                assert present is None
                assert not cut
            else:
                assert np.flatnonzero(outcome.verified[i]).tolist() == batch
    assert cut
    assert 0 < np.count_nonzero(outcome.verified) < np.count_nonzero(users.present)


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_round_with_absent_users_is_the_round_without_them(server, seed):
    cell = make_cell(server, round_trip=0.01, downlink=1e3)
    users, decision = draw((5,), seed)
    here = np.flatnonzero(users.present)
    outcome = play_round(users, cell, decision)
    assert (outcome.tokens[~users.present] == 0.0).all()
    if here.size == 0:
        assert outcome.latency == outcome.goodput == outcome.verification_time == 0.0
        return
    some = Users(*(getattr(users, name)[here] for name in Users.FIELDS))
    shares = decision.bandwidth_shares[here]
    alone = play_round(some, cell, Decision(decision.draft_lengths[here], shares, decision.cutoff))
    for name in (*OF_USERS, "verified"):
        np.testing.assert_array_equal(getattr(outcome, name)[here], getattr(alone, name))
    for name in (*OF_ROUNDS, "downlink_time"):
        np.testing.assert_allclose(getattr(outcome, name), getattr(alone, name), rtol=1e-14)


@pytest.mark.parametrize("server", SERVERS)
def test_a_cutoff_that_never_comes_is_none_and_a_full_mask_too(server):
    cell = make_cell(server)
    users, decision = draw((50, 6), seed=8, present=None)
    none = Decision(decision.draft_lengths, decision.bandwidth_shares)
    never = Decision(decision.draft_lengths, decision.bandwidth_shares, math.inf)
    all_here = Users(**users.fields, present=True)
    expected = play_round(users, cell, none)
    assert expected.verified is None
    assert expected.downlink_time is None
    for outcome in (play_round(users, cell, never), play_round(all_here, cell, none)):
        assert outcome.verified.all()
        for name in (*OF_USERS, *OF_ROUNDS):
            np.testing.assert_array_equal(getattr(outcome, name), getattr(expected, name))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), server=st.sampled_from(list(SERVERS)))
def test_permuting_the_users_permutes_the_round(seed, server):
    cell = make_cell(server, round_trip=0.02, downlink=1e3)
    users, decision = draw((6,), seed)
    order = np.random.default_rng(seed).permutation(6)
    moved = play_round(
        Users(**{name: values[order] for name, values in users.fields.items()}),
        cell,
        Decision(decision.draft_lengths[order], decision.bandwidth_shares[order], decision.cutoff),
    )
    outcome = play_round(users, cell, decision)
    for name in (*OF_USERS, "verified"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(outcome, name)[order])
    for name in OF_ROUNDS:
        np.testing.assert_allclose(getattr(moved, name), getattr(outcome, name), rtol=1e-14)


def test_every_drafted_token_is_accepted_rejected_or_lost():
    cell = make_cell(round_trip=0.01)
    users, decision = draw((400, 5), seed=21)
    uniforms = np.random.default_rng(1).random((400, 5))
    outcome = compute_round(users, cell, decision, uniforms)
    drafted = np.where(users.present, decision.draft_lengths, 0)
    in_batch = outcome.verified
    # The first i drafts are accepted with probability alpha**i: counted one by one.
    steps = np.arange(1, 10)
    accepted_all = (uniforms[..., None] < users.acceptance_rate[..., None] ** steps) & (steps <= drafted[..., None])
    accepted = np.where(in_batch, accepted_all.sum(axis=-1), 0)
    rejected = np.where(in_batch, drafted - accepted, 0)
    lost = np.where(in_batch, 0, drafted)
    np.testing.assert_array_equal(outcome.tokens, accepted + in_batch)
    assert (rejected >= 0).all()
    assert min(accepted.sum(), rejected.sum(), lost.sum()) > 0
    assert drafted.sum() == accepted.sum() + rejected.sum() + lost.sum()


def test_the_server_waits_until_the_cutoff_for_who_is_late_and_no_longer_for_who_is_not():
    users = Users([0.5, 0.5], [10.0, 100.0], 1e-6, 1.0)
    cell = make_cell("per draft", "density")
    shares = [0.5, 0.5]
    early, late = (play_round(users, cell, Decision([3, 3], shares, cutoff)) for cutoff in (5.0, 0.2))
    assert early.verified.all()
    np.testing.assert_array_equal(early.latency, play_round(users, cell, Decision([3, 3], shares)).latency)
    assert late.verified.tolist() == [False, True]
    assert late.latency == pytest.approx(0.2 + 0.02 + 0.01)
    assert late.tokens.tolist() == [0.0, 1.875]
    # A user without a draft is in at once, whatever the cut-off, and nobody waits for it.
    assert play_round(users, cell, Decision([0, 0], shares, 1e-9)).verified.all()
    nobody = play_round(users, cell, Decision([3, 3], shares, 1e-3))
    assert not nobody.verified.any()
    assert (nobody.latency, nobody.verification_time, nobody.goodput) == (1e-3, 0.0, 0.0)


def test_an_upload_without_bandwidth_ends_with_the_cutoff():
    users, cell = Users([0.5, 0.5], 100.0, 1e-6, 1.0), make_cell("per draft")
    assert play_round(users, cell, Decision([2, 2], [0.0, 1.0])).latency == math.inf
    assert play_round(users, cell, Decision([2, 2], [0.0, 1.0], math.inf)).latency == math.inf
    cut = play_round(users, cell, Decision([2, 2], [0.0, 1.0], 0.5))
    assert cut.latency == pytest.approx(0.53)
    assert cut.tokens.tolist() == [0.0, 1.75]


def test_what_is_decided_for_an_absent_user_is_nothing():
    users = Users([0.5, 0.9], 100.0, 1e-6, 1.0, present=[True, False])
    cell = make_cell(min_draft_length=1)
    told = play_round(users, cell, Decision([2, 777], [0.25, 0.0]))
    for name in (*OF_USERS, *OF_ROUNDS):
        np.testing.assert_array_equal(
            getattr(told, name), getattr(play_round(users, cell, Decision([2, 0], [0.25, 0.75])), name)
        )
    with pytest.raises(ValueError, match=r"draft_lengths must lie in \[1, 9\] \(or all be 0\), got 77 at index \(0,\)"):
        play_round(users, cell, Decision([77, 0], [0.25, 0.0]))


def test_batches_of_users_decisions_and_cutoffs_broadcast():
    cell = make_cell(round_trip=0.01, downlink=1e3)
    users, decision = draw((3, 2, 4), seed=5)
    for many, some in ((users, decision), (users[0, 0], decision), (users[:, :1], decision)):
        outcome = play_round(many, cell, some)
        assert outcome.verified.shape == (3, 2, 4)
        assert outcome.latency.shape == (3, 2)
        for row in np.ndindex(3, 2):
            who = many if not many.batch_shape else many[row[0], row[1] % many.batch_shape[1]]
            one = Decision(some.draft_lengths[row], some.bandwidth_shares[row], some.cutoff[row])
            alone, picked = play_round(who, cell, one), outcome[row]
            for name in (*OF_USERS, *OF_ROUNDS, "verified", "downlink_time"):
                np.testing.assert_array_equal(getattr(picked, name), getattr(alone, name))


def test_the_sampled_tokens_of_who_is_late_or_absent_are_none():
    users, decision = draw((200, 4), seed=6)
    outcome = play_round(users, make_cell(), decision, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(outcome.tokens == 0.0, ~outcome.verified)


def test_a_round_trip_is_paid_by_who_drafts_and_the_downlink_by_every_round():
    users = Users([0.5, 0.5], 100.0, 1e-6, 1.0)
    bare, cell = make_cell(), make_cell(round_trip=0.07, downlink=1e3, downlink_payload=50.0)
    for lengths, more in (([2, 0], 0.12), ([0, 0], 0.05)):
        decision = Decision(lengths, [0.5, 0.5])
        outcome = play_round(users, cell, decision)
        assert outcome.latency == pytest.approx(float(play_round(users, bare, decision).latency) + more)
        assert outcome.downlink_time == 0.05
        assert outcome.verified is None
    # A round trip may make a draft late.
    decision = Decision([2, 0], [0.5, 0.5], 0.06)
    assert play_round(users, bare, decision).verified.all()
    assert play_round(users, cell, decision).verified.tolist() == [False, True]


def test_outcomes_hold_what_there_is():
    users, decision = draw((4, 3), seed=1, present=None)
    plain = play_round(users, make_cell(), Decision(decision.draft_lengths, decision.bandwidth_shares))
    assert set(vars(plain)) == {*OF_USERS, *OF_ROUNDS} == set(vars(RoundOutcome(**vars(plain))))
    full = play_round(users, make_cell(downlink=1.0), decision)
    assert set(vars(RoundOutcome(**vars(full)))) == {*OF_USERS, *OF_ROUNDS, "verified", "downlink_time"}
    copied = pickle.loads(pickle.dumps((users, decision, full)))
    np.testing.assert_array_equal(copied[1].cutoff, decision.cutoff)
    np.testing.assert_array_equal(copied[2].verified, full.verified)
    assert "cutoff" not in vars(Decision([1], [1.0]))
    assert Decision([1], [1.0]).cutoff is None
    lengths, shares = decision.draft_lengths, decision.bandwidth_shares
    assert Decision.trusted(lengths, shares).cutoff is None
    assert Decision.trusted(lengths, shares, decision.cutoff).cutoff is decision.cutoff
    assert Decision.trusted(lengths, shares).give_up is None
    assert Decision(lengths, shares, give_up=False).give_up.shape == (4, 3)


@pytest.mark.parametrize(
    ("cutoff", "message"),
    [
        (0.0, r"cutoff must lie in \(0, inf\], got 0\.0"),
        (-math.inf, r"cutoff must lie in \(0, inf\], got -inf"),
        ([1.0, math.nan], r"cutoff must lie in \(0, inf\], got nan at index \(1,\)"),
        ([1.0, 2.0, 3.0], r"cutoff \(3,\) does not broadcast to the decision's batch shape \(2,\)"),
        ([[1.0], [2.0]], r"cutoff \(2, 1\) does not broadcast to the decision's batch shape \(2,\)"),
    ],
)
def test_cutoffs_that_are_none_are_refused(cutoff, message):
    with pytest.raises(ValueError, match=message):
        Decision(np.ones((2, 3)), np.full((2, 3), 0.2), cutoff)


def test_a_cutoff_is_stored_for_every_round_and_cannot_be_changed():
    decision = Decision(np.ones((2, 3)), np.full(3, 0.2), 0.5)
    assert decision.cutoff.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        decision.cutoff[0] = 1.0
    with pytest.raises(TypeError, match="cutoff must be a number or an array of numbers, got 'soon'"):
        Decision([1, 1], 0.5, "soon")


def test_who_is_given_up_is_absent():
    users, decision = draw((4, 3), seed=2, present=None)
    gone = np.array([True, False, False])
    lengths, shares = decision.draft_lengths, decision.bandwidth_shares
    given_up = play_round(users, make_cell(), Decision(lengths, shares, decision.cutoff, gone))
    absent = Users(**users.fields, present=np.broadcast_to(~gone, (4, 3)))
    expected = play_round(absent, make_cell(), Decision(lengths, shares, decision.cutoff))
    for name in (*OF_USERS, *OF_ROUNDS):
        np.testing.assert_array_equal(getattr(given_up, name), getattr(expected, name))
    # Who is absent already stays so, and one decision may be for several cells.
    once = play_round(absent[0], make_cell(), Decision(lengths, shares, give_up=[False, True, False]))
    assert (once.tokens[:, :2] == 0.0).all()
    assert (once.tokens[:, 2] >= 1.0).all()


@pytest.mark.parametrize(
    ("give_up", "error", "message"),
    [
        ([1, 0, 0], TypeError, "give_up must be"),
        ([True, False], ValueError, r"give_up \(2,\) does not broadcast to the decision's shape \(2, 3\)"),
    ],
)
def test_masks_of_who_is_given_up_that_are_none_are_refused(give_up, error, message):
    with pytest.raises(error, match=message):
        Decision(np.ones((2, 3)), np.full((2, 3), 0.2), give_up=give_up)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("round_trip", -0.1, ValueError, r"round_trip must lie in \[0, 1e\+50\], got -0\.1"),
        ("downlink", 0.0, ValueError, r"downlink must lie in \[1e-50, 1e\+50\], got 0\.0"),
        ("downlink_payload", 0.0, ValueError, r"downlink_payload must lie in \[1e-50, 1e\+50\], got 0\.0"),
        ("downlink_payload", None, TypeError, "downlink_payload must be a number or an array of numbers, got None"),
    ],
)
def test_delays_out_of_range_are_refused(name, value, error, message):
    with pytest.raises(error, match=message):
        make_cell(**{name: value})


def test_a_cell_knows_its_downlink_time():
    assert make_cell().downlink_time == 0.0
    assert make_cell(downlink=64.0).downlink_time == 0.5
    assert dataclasses.replace(make_cell(), downlink=64, downlink_payload=128).downlink_time == 2.0

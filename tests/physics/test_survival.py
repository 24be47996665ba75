"""Users with acceptance curves of their own."""

import dataclasses

import numpy as np
import pytest

from multispin_gym import AffineVerification, Cell, Decision, Users, play_round

CELL = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4), min_draft_length=0, max_draft_length=6)


def random_curves(rng, shape, entries=6):
    return np.sort(rng.random((*shape, entries)), axis=-1)[..., ::-1]


def random_users(seed=0, shape=(4, 3), entries=6, **fields):
    rng = np.random.default_rng(seed)
    given = {"acceptance_rate": 0.5, "survival": random_curves(rng, shape, entries), **fields}
    return Users(
        drafting_speed=rng.uniform(50, 300, shape),
        channel_gain=10 ** rng.uniform(-11, -9),
        transmit_power=0.02,
        **given,
    )


def random_decision(seed, shape, longest=6):
    rng = np.random.default_rng(seed)
    return Decision(rng.integers(0, longest + 1, shape), rng.dirichlet(np.ones(shape[-1]), shape[:-1]))


def test_expected_tokens_are_the_servers_own_and_what_the_curve_adds():
    users, decision = random_users(), random_decision(1, (4, 3))
    tokens = play_round(users, CELL, decision).tokens
    for row in np.ndindex(4, 3):
        drafted = decision.draft_lengths[row]
        assert tokens[row] == pytest.approx(1.0 + users.survival[row][:drafted].sum(), rel=1e-14)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_geometric_curve_changes_nothing(sampled):
    rng = np.random.default_rng(2)
    shape = (50, 4)
    alpha = np.concatenate([rng.random((48, 4)), np.zeros((1, 4)), np.ones((1, 4))])
    plain = Users(alpha, rng.uniform(50, 300, shape), 1e-10, 0.02, present=rng.random(shape) < 0.8)
    tabled = dataclasses.replace(plain, survival=alpha[..., None] ** np.arange(1, 7))
    decision = random_decision(3, shape)
    one, other = (
        play_round(users, CELL, decision, rng=np.random.default_rng(4) if sampled else None)
        for users in (plain, tabled)
    )
    np.testing.assert_allclose(other.tokens, one.tokens, rtol=0.0 if sampled else 1e-14)
    np.testing.assert_array_equal(other.latency, one.latency)


def test_sampled_drafts_are_accepted_as_the_curve_says_and_all_lengths_share_their_draws():
    curve, rounds = np.array([0.9, 0.5, 0.5, 0.2, 0.0, 0.0]), 40_000
    users = Users(0.5, 100.0, [[1e-10]], 0.02, survival=curve)
    drawn = [
        play_round(users, CELL, Decision(np.full((rounds, 1), length), 1.0), rng=np.random.default_rng(5)).tokens[:, 0]
        for length in range(7)
    ]
    for i in range(1, 7):
        assert abs((drawn[6] > i).mean() - curve[i - 1]) <= 4 * np.sqrt(0.25 / rounds)
    for length, tokens in enumerate(drawn):
        np.testing.assert_array_equal(tokens, np.minimum(drawn[6], length + 1.0))


def test_who_is_absent_or_late_gains_nothing():
    users = random_users(present=np.array([True, False, True]))
    decision = random_decision(6, (4, 3))
    late = Decision(np.full((4, 3), 6), decision.bandwidth_shares, cutoff=1e-6)
    tokens = play_round(users, CELL, decision).tokens
    assert (tokens[:, 1] == 0.0).all()
    assert (tokens[:, [0, 2]] >= 1.0).all()
    assert (play_round(users, CELL, late).tokens == 0.0).all()


def test_curves_broadcast_and_go_with_their_users():
    curves = random_curves(np.random.default_rng(7), (2, 1, 3))
    users = Users(np.full((5, 1), 0.5), 100.0, 1e-10, 0.02, present=[True, True, False], survival=curves)
    assert users.survival.shape == (2, 5, 3, 6)
    assert users.batch_shape == (2, 5)
    assert not users.survival.flags.writeable
    assert not users.token_table.flags.writeable
    assert list(users.fields) == [*Users.FIELDS, "present", "survival"]
    np.testing.assert_array_equal(users[1, 2:].survival, users.survival[1, 2:])
    np.testing.assert_array_equal(users.all_present().survival, users.survival)
    np.testing.assert_array_equal(dataclasses.replace(users, acceptance_rate=0.1).survival, users.survival)
    assert users.all_present().present is None


def test_one_curve_serves_all_users_and_all_cells_of_a_decision():
    users = Users([0.5, 0.6], 100.0, 1e-10, 0.02, survival=[0.75, 0.5, 0.25, 0.0, 0.0, 0.0])
    tokens = play_round(users, CELL, Decision([[[1, 2]], [[3, 6]]], 0.5)).tokens
    np.testing.assert_array_equal(tokens, [[[1.75, 2.25]], [[2.5, 2.5]]])


@pytest.mark.parametrize(
    ("survival", "message"),
    [
        (
            [[0.5, 0.7]],
            r"survival must not increase along its last axis, .*: got 0.7 at index \(0, 1\) after 0.5",
        ),
        ([1.5, 0.5], r"survival must lie in \[0, 1\], got 1.5 at index \(0,\)"),
        ([0.5, np.nan], r"survival must lie in \[0, 1\], got nan at index \(1,\)"),
        (0.5, r"survival needs a last axis of at least one draft, got shape \(\)"),
        (np.empty((2, 0)), r"survival needs a last axis of at least one draft, got shape \(2, 0\)"),
        (np.full((3, 4), 0.5), r"do not broadcast: .*survival \(3, 4\)"),
    ],
)
def test_what_is_no_curve_is_refused(survival, message):
    with pytest.raises(ValueError, match=message):
        Users([0.5, 0.6], 100.0, 1e-10, 0.02, survival=survival)


def test_curves_have_to_reach_the_longest_draft_and_may_reach_further():
    decision = random_decision(8, (4, 3))
    with pytest.raises(ValueError, match=r"users.survival must have an entry for each draft up to .* = 6, got 5"):
        play_round(random_users(entries=5), CELL, decision)
    longer = random_users(entries=9)
    shorter = dataclasses.replace(longer, survival=longer.survival[..., :6])
    one, other = (play_round(users, CELL, decision) for users in (longer, shorter))
    np.testing.assert_array_equal(one.tokens, other.tokens)


def test_who_is_given_up_takes_its_curve_along():
    users, decision = random_users(shape=(3,)), random_decision(6, (5, 3))
    gone = np.array([False, True, False])
    lengths, shares = decision.draft_lengths, decision.bandwidth_shares
    outcome = play_round(users, CELL, Decision(lengths, shares, give_up=gone))
    expected = play_round(dataclasses.replace(users, present=~gone), CELL, decision)
    np.testing.assert_array_equal(outcome.tokens, expected.tokens)
    np.testing.assert_array_equal(outcome.goodput, expected.goodput)

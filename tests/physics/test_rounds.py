"""One round: against a scalar reimplementation, its limits, and its invariants."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multispin_gym import AffineVerification, Cell, Decision, TableVerification, Users, play_round

FIELDS = ("tokens", "drafting_time", "upload_time", "verification_time", "latency", "goodput")
TABLE = ([8.0, 16.0, 20.0, 40.0], [0.010, 0.009, 0.014, 0.020])


def make_cell(form="affine", batching="padded", power="total", **options):
    verification = AffineVerification(0.06, 3e-4, batching) if form == "affine" else TableVerification(*TABLE, batching)
    return Cell(
        **{
            "bandwidth": 10e6,
            "noise_psd": 3.98e-21,
            "payload": 16384.0,
            "verification": verification,
            "power": power,
            "min_draft_length": 0,
            "max_draft_length": 12,
            **options,
        }
    )


ALL_CELLS = [
    pytest.param(make_cell(form, batching, power), id=f"{form}-{batching}-{power}")
    for form in ("affine", "table")
    for batching in ("padded", "ragged")
    for power in ("total", "density")
]


def random_round(shape, seed, low=0):
    rng = np.random.default_rng(seed)
    users = Users(
        rng.random(shape),
        rng.uniform(10, 300, shape),
        10.0 ** rng.uniform(-13, -8, shape),
        rng.uniform(0.01, 0.04, shape),
    )
    shares = rng.dirichlet(np.ones(shape[-1]), shape[:-1]) * rng.uniform(0.5, 1.0, (*shape[:-1], 1))
    return users, Decision(rng.integers(low, 13, shape), shares)


def scalar_round(users, cell, lengths, shares):
    """One round of one cell, in plain Python from the model's text."""
    tokens, drafting, upload = [], [], []
    for k, (length, share) in enumerate(zip(lengths, shares, strict=True)):
        alpha = float(users.acceptance_rate[k])
        tokens.append(math.fsum(alpha**i for i in range(length + 1)))
        drafting.append(length / float(users.drafting_speed[k]))
        signal = float(users.transmit_power[k]) * float(users.channel_gain[k]) / cell.noise_psd
        band = share * cell.bandwidth
        noise_band = band if cell.power == "total" else cell.bandwidth
        if length == 0:
            upload.append(0.0)
        elif share == 0.0:
            upload.append(math.inf)
        else:
            upload.append(length * cell.payload / (band * math.log2(1.0 + signal / noise_band)))
    padded = cell.verification.batching == "padded"
    batch = len(lengths) * (max(lengths) + 1) if padded else sum(lengths) + len(lengths)
    verification = scalar_verification(cell.verification, batch)
    latency = max(d + u for d, u in zip(drafting, upload, strict=True)) + verification
    goodput = math.fsum(tokens) / latency
    return SimpleNamespace(
        tokens=tokens,
        drafting_time=drafting,
        upload_time=upload,
        verification_time=verification,
        latency=latency,
        goodput=goodput,
    )


def scalar_verification(verification, batch):
    if isinstance(verification, AffineVerification):
        return verification.fixed + verification.per_token * batch
    points = list(zip(verification.num_tokens, verification.seconds, strict=True))
    if batch <= points[0][0]:
        return points[0][1]
    for (n0, t0), (n1, t1) in itertools.pairwise(points):
        if batch <= n1:
            return t0 + (t1 - t0) * (batch - n0) / (n1 - n0)
    return points[-1][1] + verification.tail_per_token * (batch - points[-1][0])


@pytest.mark.slow
@pytest.mark.parametrize("cell", ALL_CELLS)
@pytest.mark.parametrize("num_users", [1, 2, 5, 20])
def test_round_equals_a_scalar_reimplementation(cell, num_users):
    users, decision = random_round((40, num_users), seed=num_users)
    shares = np.where(np.random.default_rng(0).random((40, num_users)) < 0.02, 0.0, decision.bandwidth_shares)
    decision = Decision(decision.draft_lengths, shares)
    outcome = play_round(users, cell, decision)
    for i in range(40):
        lengths, shares = decision.draft_lengths[i].tolist(), decision.bandwidth_shares[i].tolist()
        expected = scalar_round(users[i], cell, lengths, shares)
        for name in FIELDS:
            # log2(1 + x) of the plain form loses digits where the SNR is low.
            np.testing.assert_allclose(getattr(outcome, name)[i], getattr(expected, name), rtol=1e-9)


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_rows_of_a_batch_equal_single_cells_to_the_last_bit(cell):
    users, decision = random_round((3, 7, 9), seed=5)
    outcome = play_round(users, cell, decision)
    for row in np.ndindex(3, 7):
        single = play_round(users[row], cell, Decision(decision.draft_lengths[row], decision.bandwidth_shares[row]))
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(outcome, name)[row], getattr(single, name))


@pytest.mark.parametrize("index", [1, (0, 2), (slice(None), 1), slice(1, None), np.array([2, 0])])
def test_rounds_can_be_picked_out_of_a_batch(index):
    users, decision = random_round((3, 3, 3), seed=5)
    picked = play_round(users, make_cell(), decision)[index]
    alone = play_round(
        users[index], make_cell(), Decision(decision.draft_lengths[index], decision.bandwidth_shares[index])
    )
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(picked, name), getattr(alone, name))


def test_an_index_never_reaches_into_the_user_axis():
    users, decision = random_round((3, 3), seed=5)
    batch = play_round(users, make_cell(), decision)
    with pytest.raises(IndexError, match="too many indices"):
        batch[:, 0]
    with pytest.raises(IndexError, match="no batch axis to index"):
        batch[0][0]


@pytest.mark.parametrize(
    ("users_batch", "decision_batch"), [((), (6,)), ((6,), ()), ((4, 1), (6,)), ((6,), (4, 1)), ((4, 6), (1, 1))]
)
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("cell", ALL_CELLS[::3])
def test_batches_of_users_and_decisions_broadcast(cell, users_batch, decision_batch, sampled):
    users, _ = random_round((*users_batch, 5), seed=1)
    _, decision = random_round((*decision_batch, 5), seed=2)
    batch = np.broadcast_shapes(users_batch, decision_batch)
    full_users = Users(*(np.broadcast_to(getattr(users, f), (*batch, 5)) for f in Users.FIELDS))
    full = Decision(*(np.broadcast_to(a, (*batch, 5)) for a in (decision.draft_lengths, decision.bandwidth_shares)))
    outcomes = [
        play_round(u, cell, d, rng=np.random.default_rng(0) if sampled else None)
        for u, d in ((users, decision), (full_users, full))
    ]
    for name in FIELDS:
        assert getattr(outcomes[0], name).shape == (batch if name not in FIELDS[:3] else (*batch, 5))
        np.testing.assert_array_equal(getattr(outcomes[0], name), getattr(outcomes[1], name))


def test_sampled_tokens_average_to_the_expected_ones():
    users, decision = random_round((6,), seed=4)
    cell = make_cell()
    rounds = 40_000
    many = Users(*(np.broadcast_to(getattr(users, f), (rounds, 6)) for f in Users.FIELDS))
    sampled = play_round(many, cell, decision, rng=np.random.default_rng(8))
    expected = play_round(users, cell, decision)
    error = sampled.tokens.std(axis=0) / math.sqrt(rounds)
    assert (np.abs(sampled.tokens.mean(axis=0) - expected.tokens) <= 4 * error + 1e-12).all()
    # The times do not depend on what is accepted.
    np.testing.assert_array_equal(sampled.latency, np.full(rounds, expected.latency))
    np.testing.assert_allclose(sampled.goodput, sampled.tokens.sum(axis=-1) / expected.latency, rtol=1e-15)


def test_sampling_depends_on_the_generator_only():
    users, decision = random_round((50, 4), seed=6)
    first, again, other = (play_round(users, make_cell(), decision, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert (first.tokens != other.tokens).any()


@pytest.mark.parametrize("cell", ALL_CELLS)
@pytest.mark.parametrize("share", [0.0, 5e-324])
def test_upload_without_bandwidth_never_ends(cell, share):
    users, _ = random_round((3,), seed=3)
    outcome = play_round(users, cell, Decision([3, 2, 0], [share, 0.9, 0.0]))
    # A subnormal share of the band is still bandwidth: its upload takes forever, in numbers.
    assert outcome.upload_time[0] == math.inf or (share > 0.0 and outcome.upload_time[0] > 1e300)
    assert outcome.latency == outcome.upload_time[0]
    assert outcome.goodput == pytest.approx(0.0, abs=1e-300)
    assert np.isfinite(outcome.upload_time[1:]).all()
    assert outcome.upload_time[2] == 0.0
    assert not any(np.isnan(getattr(outcome, name)).any() for name in FIELDS)


def test_one_endless_upload_leaves_the_other_cells_of_a_batch_alone():
    users, decision = random_round((2, 3), seed=9, low=1)
    shares = decision.bandwidth_shares.copy()
    shares[0, 1] = 0.0
    outcome = play_round(users, make_cell(), Decision(decision.draft_lengths, shares))
    assert outcome.goodput[0] == 0.0
    assert outcome.latency[0] == math.inf
    alone = play_round(users[1], make_cell(), Decision(decision.draft_lengths[1], shares[1]))
    assert outcome.goodput[1] == alone.goodput > 0.0


@pytest.mark.parametrize("cell", ALL_CELLS)
@pytest.mark.parametrize("shortest", [0, 1, 4])
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_without_any_draft_each_user_gets_the_servers_token_in_every_cell(cell, shortest, share):
    users, _ = random_round((4,), seed=2)
    cell = dataclasses.replace(cell, min_draft_length=shortest)
    outcome = play_round(users, cell, Decision(np.zeros(4, dtype=int), np.full(4, share)))
    np.testing.assert_allclose(outcome.tokens, 1.0, rtol=1e-15)
    assert outcome.latency == outcome.verification_time == cell.verification.time(4.0)
    assert outcome.goodput == pytest.approx(4.0 / float(cell.verification.time(4.0)), rel=1e-15)


def test_a_user_without_a_draft_is_not_waited_for():
    users = Users([0.7, 0.7], [1e-3, 100.0], [1e-30, 1e-10], 0.02)
    outcome = play_round(users, make_cell(), Decision([0, 4], [0.0, 1.0]))
    assert outcome.drafting_time[0] == outcome.upload_time[0] == 0.0
    assert outcome.latency == outcome.drafting_time[1] + outcome.upload_time[1] + outcome.verification_time


@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("alpha", [0.0, 5e-324, 1.0 - 1e-16, 1.0])
def test_rounds_stay_finite_at_the_ends_of_the_parameters(alpha, power):
    users = Users([alpha, 0.5], [1e-3, 1e9], [1e-200, 1e30], [1e-9, 1e3])
    outcome = play_round(users, make_cell(power=power), Decision([12, 12], [1e-300, 0.5]))
    assert not any(np.isnan(getattr(outcome, name)).any() for name in FIELDS)
    assert outcome.tokens[0] == pytest.approx({0.0: 1.0, 5e-324: 1.0}.get(alpha, 13.0), rel=1e-14)


def test_decision_is_stored_as_read_only_copies():
    lengths, shares = np.array([1, 2]), np.array([0.25, 0.5])
    decision = Decision(lengths, shares)
    lengths[0], shares[0] = 9, 0.9
    np.testing.assert_array_equal(decision.draft_lengths, [1, 2])
    np.testing.assert_array_equal(decision.bandwidth_shares, [0.25, 0.5])
    assert decision.draft_lengths.dtype == np.int64
    for array in (decision.draft_lengths, decision.bandwidth_shares):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.draft_lengths = lengths


def test_decision_broadcasts_lengths_against_shares():
    decision = Decision(np.full((3, 1), 4), np.full(5, 0.2))
    assert decision.draft_lengths.shape == decision.bandwidth_shares.shape == (3, 5)
    assert Decision(draft_lengths=np.float32([2, 3]), bandwidth_shares=[0.5, 0.5]).draft_lengths.tolist() == [2, 3]


def test_float32_simplex_is_taken_and_never_exceeds_the_band():
    shares = np.random.default_rng(0).dirichlet(np.ones(8), 2000).astype(np.float32)
    assert (shares.astype(np.float64).sum(axis=-1) > 1.0 + 1e-9).any()
    total = Decision(np.ones((2000, 8)), shares).bandwidth_shares.sum(axis=-1)
    assert (total <= 1.0 + 1e-15).all()
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)


SEEDS = st.integers(0, 2**32 - 1)
CELLS = st.sampled_from([parameters.values[0] for parameters in ALL_CELLS])


@pytest.mark.slow
@given(seed=SEEDS, cell=CELLS, num_users=st.integers(1, 12))
def test_permuting_users_permutes_the_outcome(seed, cell, num_users):
    users, decision = random_round((num_users,), seed)
    order = np.random.default_rng(seed).permutation(num_users)
    permuted = play_round(
        Users(*(getattr(users, f)[order] for f in Users.FIELDS)),
        cell,
        Decision(decision.draft_lengths[order], decision.bandwidth_shares[order]),
    )
    outcome = play_round(users, cell, decision)
    for name in FIELDS[:3]:
        np.testing.assert_array_equal(getattr(permuted, name), getattr(outcome, name)[order])
    np.testing.assert_array_equal(permuted.latency, outcome.latency)
    np.testing.assert_allclose(permuted.goodput, outcome.goodput, rtol=1e-14)


@given(seed=SEEDS, cell=CELLS, factor=st.floats(1e-3, 1e3))
def test_scaling_the_unit_of_time_scales_the_goodput(seed, cell, factor):
    users, decision = random_round((5,), seed)
    slower = dataclasses.replace(users, drafting_speed=users.drafting_speed / factor)
    old = cell.verification
    if isinstance(old, AffineVerification):
        verification = AffineVerification(old.fixed * factor, old.per_token * factor, old.batching)
    else:
        seconds = [s * factor for s in old.seconds]
        verification = TableVerification(old.num_tokens, seconds, old.batching, old.tail_per_token * factor)
    # The payload stretches the uploads by the same factor.
    scaled = dataclasses.replace(cell, payload=cell.payload * factor, verification=verification)
    before, after = play_round(users, cell, decision), play_round(slower, scaled, decision)
    np.testing.assert_allclose(after.latency, before.latency * factor, rtol=1e-12)
    np.testing.assert_allclose(after.goodput, before.goodput / factor, rtol=1e-12)


@given(seed=SEEDS, cell=CELLS, more=st.floats(1.0, 100.0), which=st.sampled_from(["band", "power", "speed", "share"]))
def test_more_bandwidth_power_or_speed_never_lowers_the_goodput(seed, cell, more, which):
    users, decision = random_round((5,), seed)
    before = play_round(users, cell, decision)
    if which == "band":
        cell = dataclasses.replace(cell, bandwidth=cell.bandwidth * more)
    elif which == "power":
        users = dataclasses.replace(users, transmit_power=users.transmit_power * more)
    elif which == "speed":
        users = dataclasses.replace(users, drafting_speed=users.drafting_speed * more)
    else:
        decision = Decision(decision.draft_lengths, decision.bandwidth_shares / decision.bandwidth_shares.sum())
    assert play_round(users, cell, decision).goodput >= before.goodput * (1 - 1e-13)


def test_outcomes_of_a_batch_are_selected_round_by_round_and_of_one_round_not_at_all():
    cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4))
    users = Users([[0.8, 0.6], [0.5, 0.7]], 100.0, 1e-10, 0.02)
    decision = Decision([[4, 2], [1, 3]], 0.5)
    outcome = play_round(users, cell, decision)
    alone = play_round(users[1], cell, Decision([1, 3], 0.5))
    for name, value in vars(outcome[1]).items():
        np.testing.assert_array_equal(value, getattr(alone, name))
    with pytest.raises(IndexError, match="no batch axis"):
        outcome[1][0]


def test_a_batch_without_cells_has_outcomes_without_cells():
    users = Users(np.full((3, 2), 0.5), 100.0, 1e-10, 0.02)[np.zeros(3, dtype=bool)]
    decision = Decision(np.ones((0, 2)), np.full((0, 2), 0.5))
    outcome = play_round(users, make_cell(), decision)
    assert outcome.goodput.shape == (0,)
    assert outcome.tokens.shape == (0, 2)

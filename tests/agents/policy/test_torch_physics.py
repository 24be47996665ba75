"""What the networks restate of the physics, against the physics itself and the solver's split of the band."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from multispin_gym import AffineVerification, Cell, TableVerification, Users
from multispin_gym.agents.policy.torch_physics import CellTerms, ServerTimes, finish_together
from multispin_gym.baselines.solver import deadline
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.scenarios.library import load_scenario

POWER = 0.01
CELL = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4), min_draft_length=0)
SERVERS = {
    f"{kind}, {batching}": dataclasses.replace(server, batching=batching)
    for (kind, server), batching in itertools.product(
        {
            "affine": AffineVerification(0.06, 3e-4),
            "table": TableVerification([1.0, 20.0, 21.0, 100.0], [0.05, 0.05, 0.07, 0.2]),
        }.items(),
        ("padded", "ragged"),
    )
} | {name: load_scenario(name).cell.verification for name in ("twenty_users", "paper_qwen35", "laptops_60ms")}

# Decibels of the gains and decades of the drafting speeds.
SPANS = {
    "like the presets'": ((-130.0, -90.0), (1.3, 2.5)),
    "as far apart as observations may be": ((-160.0, -70.0), (0.0, 3.0)),
    "farther apart than any": ((-200.0, -20.0), (-1.0, 4.0)),
}

# Relative error of rounding to float32.
ROUNDING = 2.0**-24


def observe(span, num_users, seed=0, batch=1000):
    gains, speeds = SPANS[span]
    rng = np.random.default_rng(seed)
    return {
        "acceptance_rate": rng.uniform(0.0, 1.0, (batch, num_users)).astype(np.float32),
        "drafting_speed": (10.0 ** rng.uniform(*speeds, (batch, num_users))).astype(np.float32),
        "channel_gain_db": rng.uniform(*gains, (batch, num_users)).astype(np.float32),
    }


def users_of(observation):
    gain = 10.0 ** (observation["channel_gain_db"].astype(np.float64) / 10.0)
    return Users(observation["acceptance_rate"], observation["drafting_speed"], gain, POWER)


def terms_of(observation, cell):
    return CellTerms(cell, POWER)({key: torch.from_numpy(value) for key, value in observation.items()})


def rounding_of(observation):
    """Relative error of a signal or a time: a gain's exponent is rounded twice, and there are a few operations more."""
    exponent = np.abs(observation["channel_gain_db"].astype(np.float64)) * (math.log(10.0) / 10.0)
    return (2.0 * exponent + 8.0) * ROUNDING


@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("num_users", [1, 5, 20])
@pytest.mark.parametrize("span", SPANS)
def test_signals_and_times_are_those_of_the_uplink(power, num_users, span):
    cell = dataclasses.replace(CELL, power=power)
    observation = observe(span, num_users)
    users, terms = users_of(observation), terms_of(observation, cell)
    signal = cell.signal(users)
    whole = np.inf if power == "total" else cell.bandwidth
    # A rate changes by no larger factor than its signal does, so no time has more than the signal's error to bear.
    for seen, expected in (
        (terms.signal, signal),
        (terms.limit_time, cell.payload / cell.uplink.rate(whole, signal)),
        (terms.equal_time, cell.payload / cell.uplink.rate(cell.bandwidth / num_users, signal)),
    ):
        assert (np.abs(seen.double().numpy() / expected - 1.0) <= rounding_of(observation)).all()
    assert np.allclose(terms.drafting_time.double(), users.drafting_time, rtol=2.0 * ROUNDING, atol=0.0)
    assert np.array_equal(terms.acceptance_rate, users.acceptance_rate.astype(np.float32))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("low", "high"), [(0, 12), (1, 12), (3, 3)])
def test_the_servers_unit_and_slope_are_those_of_whole_batches(server, low, high):
    cell = dataclasses.replace(CELL, verification=SERVERS[server], min_draft_length=low, max_draft_length=high)
    terms = terms_of(observe("like the presets'", 5), cell)
    assert terms.unit == pytest.approx(float(cell.verification.time(10.0, 5)), rel=1e-15)  # two tokens of five users
    least, most = (float(cell.verification.time(5.0 * (length + 1.0), 5)) for length in (low, high))
    assert terms.slope * terms.unit * (high - low) == pytest.approx(most - least, rel=1e-12, abs=1e-16)


def solve(observation, cell, lengths):
    """Return the solver's deadlines and shares, and by how many percent each share moves with one of the deadline."""
    curves = ShareCurves.of(users_of(observation), cell)
    latest, shares = deadline.finish_together(curves, lengths.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = latest[:, None] / lengths
        share, slope = curves.derivatives(theta, order=1)
        return latest, shares, np.where(lengths > 0, -slope * theta / share, 0.0)


def split(observation, cell, lengths, **options):
    """Return the shares that the networks start from."""
    logits = finish_together(terms_of(observation, cell), cell, torch.from_numpy(lengths).float(), **options)
    weights = np.where(lengths > 0, np.exp(logits.double().numpy()), 0.0)
    return weights / weights.sum(axis=-1, keepdims=True)


def some_lengths(observation, seed=1):
    shape = observation["acceptance_rate"].shape
    lengths = np.random.default_rng(seed).integers(0, 13, shape)
    lengths[:, 0] = np.maximum(lengths[:, 0], 1)
    return lengths


@pytest.mark.parametrize("num_users", [1, 2, 5, 20])
@pytest.mark.parametrize(
    ("power", "span", "steps"),
    [
        *(("total", span, 6) for span in SPANS),
        ("density", "like the presets'", 8),
        *(("density", span, 12) for span in SPANS),
    ],
)
def test_shares_that_finish_together_are_the_solvers_to_float32(power, span, steps, num_users):
    cell = dataclasses.replace(CELL, power=power)
    observation = observe(span, num_users)
    lengths = some_lengths(observation)
    latest, expected, elasticity = solve(observation, cell, lengths)
    shares = split(observation, cell, lengths, steps=steps)
    # The deadline is known to the rounding of the worst user's times. It moves each share by that share's elasticity,
    # and their sum, which is scaled to one, by the mean of all: large where the deadline is all but spent on drafting.
    rounding = rounding_of(observation).max(axis=-1, keepdims=True)
    of_the_sum = (expected * elasticity).sum(axis=-1, keepdims=True)
    uploads = lengths > 0
    error = np.abs(np.log(np.where(uploads, shares, 1.0) / np.where(uploads, expected, 1.0)))
    assert (error <= rounding * (1.0 + elasticity + of_the_sum)).all()
    assert (shares[~uploads] == 0.0).all()
    outcome = compute_round(users_of(observation), cell, Decision(lengths, shares))
    finish = (outcome.drafting_time + outcome.upload_time).max(axis=-1)
    assert (finish / latest - 1.0 <= rounding[:, 0] * (1.0 + of_the_sum[:, 0])).all()


@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("num_users", [2, 20])
def test_six_steps_lose_little_even_for_users_as_far_apart_as_observations_may_be(power, num_users):
    cell = dataclasses.replace(CELL, power=power)
    for span, late in (("like the presets'", 1e-4), ("as far apart as observations may be", 1e-2)):
        observation = observe(span, num_users)
        lengths = some_lengths(observation)
        decision = Decision(lengths, split(observation, cell, lengths))
        outcome = compute_round(users_of(observation), cell, decision)
        finish = (outcome.drafting_time + outcome.upload_time).max(axis=-1)
        assert (finish / solve(observation, cell, lengths)[0] - 1.0 <= late).all()


@pytest.mark.parametrize("power", ["total", "density"])
def test_the_bandwidth_of_each_share_carries_the_drafts_by_the_deadline(power):
    cell = dataclasses.replace(CELL, power=power)
    observation = observe("like the presets'", 5)
    users, lengths = users_of(observation), some_lengths(observation)
    latest, _, elasticity = solve(observation, cell, lengths)
    spare = latest[:, None] - lengths * users.drafting_time
    needed = cell.uplink.bandwidth(lengths * cell.payload / spare, cell.signal(users)) / cell.bandwidth
    shares = split(observation, cell, lengths, steps=12)
    rounding = rounding_of(observation).max(axis=-1, keepdims=True)
    tolerance = rounding * (1.0 + elasticity + (shares * elasticity).sum(axis=-1, keepdims=True))
    assert (np.abs(shares - needed) <= tolerance * needed).all()


@pytest.mark.parametrize("power", ["total", "density"])
def test_where_nobody_drafts_the_shares_are_equal(power):
    cell = dataclasses.replace(CELL, power=power)
    logits = finish_together(terms_of(observe("like the presets'", 3), cell), cell, torch.zeros((1000, 3)))
    assert (logits == 0.0).all()


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("num_users", [1, 5, 20])
def test_the_server_is_seen_as_it_is_at_whole_numbers_of_tokens(name, num_users):
    server = SERVERS[name]
    times = ServerTimes(server, num_users, 12)
    lengths = np.random.default_rng(10).integers(0, 13, (40, num_users))
    lengths[:, 0] = 0
    rest = lengths.max(axis=-1) if times.padded else lengths.sum(axis=-1)
    seen = times(torch.from_numpy(rest).float(), torch.arange(13.0))
    unit = server.time(2.0 * num_users, num_users) / num_users
    for length in range(13):
        lengths[:, 0] = length
        # Whole numbers of tokens are exact: what is left is the rounding of the times themselves.
        assert np.allclose(seen[:, length].double(), server.round_time(lengths) / unit, rtol=2.0 * ROUNDING, atol=0.0)


@pytest.mark.parametrize("name", SERVERS)
def test_between_whole_numbers_of_tokens_the_servers_time_is_a_line_with_its_slope(name):
    server = SERVERS[name]
    times = ServerTimes(server, 5, 12)
    others = torch.tensor(5.06 if times.padded else 30.3, requires_grad=True)
    tokens = 5.0 * 5.06 + 5.0 if times.padded else 30.3 + 2.0 + 5.0
    low = math.floor(tokens)
    before, after = (float(server.time(whole, 5)) / float(server.time(10.0, 5)) * 5.0 for whole in (low, low + 1))
    seen = times(others, torch.tensor([2.0])).squeeze()
    seen.backward()
    # The number of tokens is rounded a few times, the times once.
    rise = abs(after - before)
    assert float(seen.detach()) == pytest.approx(
        before + (tokens - low) * (after - before), abs=4 * ROUNDING * (after + rise * tokens)
    )
    slope = (after - before) * (5.0 if times.padded else 1.0)
    assert float(others.grad) == pytest.approx(slope, abs=4 * 5 * ROUNDING * after)


@pytest.mark.parametrize("power", ["total", "density"])
@pytest.mark.parametrize("bandwidth", [1e-4, 1e7, 1e14])
def test_shares_are_numbers_however_far_apart_the_users_are(power, bandwidth):
    cell = dataclasses.replace(CELL, power=power, bandwidth=bandwidth)
    rng = np.random.default_rng(12)
    observation = {
        "acceptance_rate": rng.uniform(0.0, 1.0, (2000, 5)).astype(np.float32),
        "drafting_speed": (10.0 ** rng.uniform(-30.0, 30.0, (2000, 5))).astype(np.float32),
        "channel_gain_db": rng.uniform(-350.0, 350.0, (2000, 5)).astype(np.float32),
    }
    terms = terms_of(observation, cell)
    assert all(bool(values.isfinite().all()) for values in (terms.signal, terms.limit_time, terms.equal_time))
    lengths = torch.from_numpy(some_lengths(observation)).float()
    assert finish_together(terms, cell, lengths).isfinite().all()


def test_an_upload_that_vanishes_beside_a_drafting_time_gets_a_share():
    # In float32 the slow user's deadline is its drafting time: nothing is left for its upload.
    cell = dataclasses.replace(CELL, power="density", payload=3.0)
    observation = {
        "acceptance_rate": np.float32([[0.5, 0.5]]),
        "drafting_speed": np.float32([[1e-3, 100.0]]),
        "channel_gain_db": np.float32([[-90.0, -90.0]]),
    }
    shares = split(observation, cell, np.float32([[2.0, 2.0]]))
    assert (shares > 0.0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bandwidth": 1e40}, r"cell.bandwidth must lie in \[1e-15, 1e\+15\] for an agent.*got 1e\+40"),
        ({"payload": 1e-40}, r"cell.payload must lie in \[1e-15, 1e\+15\] for an agent.*got 1e-40"),
        ({"noise_psd": 1e-50}, r"reference_power / cell.noise_psd must lie in \[1e-30, 1e\+30\] for an agent"),
        ({"verification": AffineVerification(1e40)}, "cell.verification of one token must lie in"),
    ],
)
def test_a_cell_beyond_float32_is_refused_by_its_key(changes, message):
    with pytest.raises(ValueError, match=message):
        CellTerms(dataclasses.replace(CELL, **changes), POWER)


@pytest.mark.parametrize("batching", ["padded", "ragged"])
def test_the_server_is_seen_with_the_round_trip_of_drafts_and_with_the_downlink(batching):
    verification = AffineVerification(0.06, 3e-4, batching)
    cell = dataclasses.replace(CELL, verification=verification, round_trip=0.04, downlink=1600.0)
    times = ServerTimes(server_of(cell, 5), 5, 12)
    seen = times(torch.zeros(1), torch.arange(13.0))[0]
    lengths = np.zeros((13, 5))
    lengths[:, 0] = np.arange(13.0)
    expected = verification.round_time(lengths) + 0.02 + 0.04 * (np.arange(13) > 0)
    unit = (0.06 + 10.0 * 3e-4 + 0.02 + 0.04) / 5.0
    assert np.allclose(seen.double(), expected / unit, rtol=2.0 * ROUNDING, atol=0.0)
    assert terms_of(observe("like the presets'", 5, batch=1), cell).unit == pytest.approx(0.06 + 10.0 * 3e-4 + 0.06)

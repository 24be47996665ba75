"""What is believed of channels: against closed forms, weighted simulation, and the environment's own process."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import multispin_gym as ms
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.fade_grid import FadeGrid
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.measured_gains import KNOWN, NOTHING, UNKNOWN_BEYOND, measured_gains
from multispin_gym.envs.clock.fades import INSTANTS_PER_COHERENCE_TIME
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.envs.shared import round_info
from multispin_gym.envs.variants import SERVE, STALE
from multispin_gym.physics.rounds import Decision

SCENARIO = ms.load_scenario("stale")
NO_UPLOADS = {"uploads": False}


def stale(base=SCENARIO, mean_gain=(0.2, 0.5), **clock):
    return dataclasses.replace(base, mean_gain=mean_gain, clock=dataclasses.replace(base.clock, **clock))


def seen(gain_db, age, **more):
    gain_db = np.asarray(gain_db, dtype=np.float64)
    return {
        "reported_channel_gain_db": gain_db,
        "report_age": np.full(gain_db.shape, age),
        "drafting_speed": np.full(gain_db.shape, 28.0),
        **more,
    }


def nothing(shape, time):
    """What info says of a round in which nobody drafted."""
    keys = ("draft_lengths", "upload_time", "bandwidth_shares")
    return {
        **{key: np.zeros(shape) for key in keys},
        "verified": np.ones(shape, np.bool_),
        "time": np.full(shape[0], time),
    }


def test_steps_have_the_closed_forms_probabilities_and_keep_the_stationary_law():
    grid = FadeGrid(0.8, 0.5)
    edges = 10.0 ** (0.1 * (grid.nodes_db[:-1] + 0.25))
    for steps in (1, 3):
        rho = 0.8**steps
        scale = 2.0 / (1.0 - rho**2)
        for node in (0, 30, 60, 80):
            before = 10.0 ** (0.1 * grid.nodes_db[node])
            expected = stats.ncx2.cdf(scale * edges, 2, scale * rho**2 * before)
            assert np.cumsum(grid.after(steps)[node])[:-1] == pytest.approx(expected, abs=1e-9)
        assert grid.stationary @ grid.after(steps) == pytest.approx(grid.stationary, abs=5e-5)
    assert grid.stationary.sum() == pytest.approx(1.0)
    assert grid.after(10_000)[70] == pytest.approx(grid.stationary, abs=1e-3)


def test_without_correlation_nothing_is_remembered_and_with_all_of_it_everything():
    fresh, frozen = FadeGrid(0.0, 1.0), FadeGrid(1.0, 1.0)
    assert fresh.after(1)[0] == pytest.approx(fresh.stationary, abs=1e-12)
    assert (frozen.after(7) == np.eye(frozen.nodes_db.size)).all()


def test_a_laws_mean_and_quantiles_are_those_of_its_cells():
    law = GainLaw(-4.0, 2.0, np.array([[0.0, 0.25, 0.25, 1.0]]))
    rng = np.random.default_rng(0)
    draws = np.where(rng.random(400_000) < 0.25, rng.uniform(-4, -2, 400_000), rng.uniform(0, 2, 400_000))
    assert law.mean()[0] == pytest.approx((10.0 ** (0.1 * draws)).mean(), rel=3e-3)
    for level in (0.1, 0.5, 0.9):
        gain = law.quantile_db(level)
        assert gain[0] == pytest.approx(np.quantile(draws, level), abs=0.02)
        assert law.above(gain[:, None])[0, 0] == pytest.approx(1.0 - level)
    assert law.above(np.array([[-np.inf, -9.0, 5.0, np.inf]])).tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert law.ends_db.tolist() == [-4.0, -2.0, 0.0, 2.0]


@pytest.mark.parametrize("gain_db", [-12.0, -5.0, 1.0])
def test_without_noise_and_with_a_known_mean_the_law_is_noncentral_chi_square(gain_db):
    scenario = stale(mean_gain=(0.3, 0.3), report_age=1.0, report_noise_db=0.0)
    errors = []
    for spacing in (1.0, 0.25):
        belief = ChannelBelief(scenario, levels=1, spacing_db=spacing, **NO_UPLOADS)
        belief.reset(seen([[gain_db]], 0.0), nothing((1, 1), 0.0))
        belief.observe(seen([[gain_db]], 0.0), nothing((1, 1), 0.0))
        law = belief.observe(seen([[gain_db]], 1.0), nothing((1, 1), 1.0))
        rho = np.exp(-1.0 / 2.0)
        scale, power = 2.0 / (1.0 - rho**2), 10.0 ** (0.1 * gain_db) / 0.3
        ends = 10.0 ** (0.1 * law.ends_db) / 0.3
        errors.append(np.abs(law.below[0, 0] - stats.ncx2.cdf(scale * ends, 2, scale * rho**2 * power)).max())
        assert law.mean()[0, 0] == pytest.approx(0.3 * (1.0 - rho**2 + rho**2 * power), rel=0.04 * spacing)
    assert errors[0] < 0.03
    assert errors[1] < 0.005


@pytest.mark.slow
def test_reports_uploads_and_losses_weigh_as_in_a_simulation():
    """Reports of the instants 2, 4 and 4 again; uploads told a gain at the instant 2 and a bound at the instant 5."""
    scenario = stale(report_age=0.5, report_noise_db=2.0)
    cell, shape = scenario.cell, (1, 1)
    belief = ChannelBelief(scenario, levels=16, spacing_db=0.5)
    reports, gain, bound = (-6.0, -3.0), 10.0**-0.45, 0.5
    belief.reset(seen([[reports[0]]], 0.0), nothing(shape, 0.0))
    belief.observe(seen([[reports[0]]], 0.0), nothing(shape, 0.5))
    rates = [np.log2(1.0 + scenario.reference_power * g / cell.noise_power) for g in (gain, bound)]
    told = []
    for rate, verified in zip(rates, (True, False), strict=True):
        seconds = 3.0 * cell.payload / (0.25 * cell.bandwidth * rate)
        told.append(
            {
                "draft_lengths": np.array([[3]]),
                "upload_time": np.array([[seconds]]),
                "bandwidth_shares": np.array([[0.25]]),
                "verified": np.array([[verified]]),
            }
        )
    # Rounds begin at 0.5, where the first report is as well, at 1.25 and at 1.5 s; the channel is that of 1.5 s.
    belief.observe(seen([[reports[1]]], 0.25), {**told[0], "time": np.array([1.25])})
    law = belief.observe(seen([[reports[1]]], 0.5), {**told[1], "time": np.array([1.5])})
    rng = np.random.default_rng(0)
    count = 1_500_000
    mean, rho = rng.uniform(0.2, 0.5, count), np.exp(-1.0 / 8.0)
    amplitude = rng.normal(scale=np.sqrt(0.5), size=(2, count))
    gains = {}
    for instant in range(2, 7):
        gains[instant] = mean * (amplitude**2).sum(axis=0)
        amplitude = rho * amplitude + rng.normal(scale=np.sqrt(0.5 * (1.0 - rho**2)), size=(2, count))
    in_db = {instant: 10.0 * np.log10(values) for instant, values in gains.items()}
    weight = stats.norm.pdf(in_db[2], reports[0], 2.0) * stats.norm.pdf(in_db[2], 10.0 * np.log10(gain), 0.25)
    weight *= stats.norm.pdf(in_db[4], reports[1], 2.0) ** 2 * (gains[5] < bound)
    order = np.argsort(in_db[6])
    below = np.cumsum(weight[order]) / weight.sum()
    for level in (0.1, 0.3, 0.5, 0.7, 0.9):
        expected = in_db[6][order][np.searchsorted(below, level)]
        assert law.quantile_db(level)[0, 0] == pytest.approx(expected, abs=0.3)


def play(variant, scenario, rounds, cells, **options):
    """Where the truth lies in what is believed of it, round by round of short drafts with tight cut-offs."""
    scenario = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, episode_seconds=1e6))
    game = ClockGame(variant, scenario, scenario.clock, num_rows=cells)
    for row in range(cells):
        game.seed(row, row)
    game.begin(np.arange(cells))
    info, belief = round_info(game.nothing_played()), ChannelBelief(scenario, **options)
    belief.reset(game.observe(), info)
    rng, places, late = np.random.default_rng(0), [], 0
    for _ in range(rounds):
        law, users = belief.observe(game.observe(), info), game.users
        present = np.ones(users.channel_gain.shape, np.bool_) if users.present is None else users.present
        gain_db = 10.0 * np.log10(users.channel_gain)
        places.append(np.where(present, 1.0 - law.above(gain_db[..., None])[..., 0], np.nan))
        lengths = np.where(present, rng.integers(0, 9, present.shape), 0)
        shares = np.where(present, 1.0 / np.maximum(present.sum(axis=1, keepdims=True), 1), 0.0)
        played = game.play_decision(Decision.trusted(lengths, shares, np.full(cells, 0.35)))
        late += int(played.service.lost.any(axis=1).sum())
        game.advance()
        info = round_info(played)
    assert late > cells // 2
    return np.array(places)


@pytest.mark.parametrize(
    ("variant", "clock", "spacing_db"),
    [
        (STALE, {}, 1.0),
        (STALE, {"report_age": 1.2, "report_noise_db": 3.0}, 1.0),
        # As narrow as the noise of a report alone: 1 dB would be coarse.
        (STALE, {"report_age": 0.0, "coherence_time": None}, 0.25),
        (SERVE, {}, 1.0),
    ],
)
def test_credible_intervals_cover_the_truth(variant, clock, spacing_db):
    base = ms.load_scenario(variant.scenario)
    places = play(variant, stale(base, **clock), rounds=24, cells=120, spacing_db=spacing_db)
    found = places[~np.isnan(places)]
    assert found.size > 5000
    for width in (0.5, 0.8, 0.95):
        inside, there = np.abs(places - 0.5) < 0.5 * width, ~np.isnan(places)
        # Users of a cell are independent, their rounds are not.
        means = (inside.sum(axis=0) / np.maximum(there.sum(axis=0), 1))[there.any(axis=0)]
        error = means.std() / np.sqrt(means.size)
        assert (np.abs(found - 0.5) < 0.5 * width).mean() == pytest.approx(width, abs=4.0 * error + 0.008)


def test_past_uploads_sharpen_what_old_reports_tell():
    scenario = stale(report_age=1.5, report_noise_db=10.0)
    widths = []
    # 4 x 34,816 bit in that time on nine tenths of 10 MHz: a gain of -6 dB.
    for uploads in (True, False):
        belief = ChannelBelief(scenario, uploads=uploads)
        belief.reset(seen([[-5.0]], 0.0), nothing((1, 1), 0.0))
        belief.observe(seen([[-5.0]], 0.0), nothing((1, 1), 0.0))
        info = {
            "draft_lengths": np.array([[4]]),
            "upload_time": np.array([[0.0033]]),
            "bandwidth_shares": np.array([[0.9]]),
            "verified": np.array([[True]]),
            "time": np.array([0.5]),
        }
        law = belief.observe(seen([[-5.0]], 0.5), info)
        widths.append(law.quantile_db(0.9)[0, 0] - law.quantile_db(0.1)[0, 0])
    assert widths[0] < 0.95 * widths[1]


@pytest.mark.parametrize("power", ["density", "total"])
def test_uploads_tell_the_gains_of_their_round(power):
    noise = {"noise_power": 1e-10} if power == "density" else {"noise_psd": 1e-17, "noise_power": None}
    scenario = dataclasses.replace(SCENARIO, cell=dataclasses.replace(SCENARIO.cell, power=power, **noise))
    game = ClockGame(STALE, scenario, scenario.clock, num_rows=200)
    for row in range(200):
        game.seed(row, row)
    game.begin(np.arange(200))
    users = game.users
    lengths = np.tile([0, 3, 5, 8, 5, 5, 5, 25], (200, 1))
    played = game.play_decision(Decision.trusted(lengths, np.full((200, 8), 0.125), np.full(200, 0.3)))
    game.advance()
    gain_db, kind = measured_gains(scenario, round_info(played))
    true_db = 10.0 * np.log10(users.channel_gain)
    assert (kind[:, 0] == NOTHING).all()
    # Twenty-five tokens are not even drafted by then.
    assert (kind[:, 7] == NOTHING).all()
    assert set(np.unique(kind)) == {NOTHING, KNOWN, UNKNOWN_BEYOND}
    assert gain_db[kind == KNOWN] == pytest.approx(true_db[kind == KNOWN], abs=1e-9)
    late = kind == UNKNOWN_BEYOND
    assert late.sum() > 50
    assert (true_db[late] < gain_db[late] + 1e-9).all()


def test_new_devices_and_new_episodes_begin_with_what_the_law_says():
    scenario = ms.load_scenario("serve")
    belief = ChannelBelief(scenario)
    both = {"present": np.ones((2, 2)), "request_age": np.full((2, 2), 3.0)}
    first = seen([[-20.0, -20.0]] * 2, 0.0, **both)
    belief.reset(first, nothing((2, 2), 0.0))
    for time in (0.0, 0.4, 0.8):
        law = belief.observe({**first, "request_age": both["request_age"] + time}, nothing((2, 2), time))
    # A new request in one place, whose device reports the same as the other's always did; and a new episode.
    ages = np.array([[0.0, 4.2], [4.2, 4.2]])
    new = np.array([False, True])
    belief.reset(first, nothing((2, 2), 0.0), new)
    law = belief.observe({**first, "request_age": ages}, {**nothing((2, 2), 1.2), "time": np.array([1.2, 0.0])})
    fresh = ChannelBelief(scenario)
    fresh.reset(first, nothing((2, 2), 0.0))
    alone = fresh.observe(first, nothing((2, 2), 0.0))
    assert law.below[0, 0] == pytest.approx(alone.below[0, 0])
    assert law.below[1] == pytest.approx(alone.below[1])
    assert np.abs(law.below[0, 1] - alone.below[0, 1]).max() > 0.01


def test_a_new_episode_forgets_uploads_that_wait_for_younger_reports():
    belief, laws = ChannelBelief(stale(report_age=0.6)), []
    waiting = {
        "draft_lengths": np.full((2, 1), 4),
        "upload_time": np.full((2, 1), 0.02),
        "bandwidth_shares": np.full((2, 1), 0.9),
        "verified": np.ones((2, 1), np.bool_),
        "time": np.full(2, 1.25),
    }
    first = seen([[-5.0]] * 2, 0.0), nothing((2, 1), 0.0)
    belief.reset(*first)
    laws.append(belief.observe(*first))
    belief.observe(seen([[-5.0]] * 2, 0.6), nothing((2, 1), 1.0))
    # At 1 s the channel was poor, as an upload told after a report of 0.65 s.
    poor = belief.observe(seen([[-5.0]] * 2, 0.6), waiting)
    assert (poor.quantile_db(0.5) < -10.0).all()
    belief.reset(*first, np.array([True, False]))
    again = belief.observe(seen([[-5.0]] * 2, 0.0), {**first[1], "time": np.array([0.0, 1.5])})
    assert again.below[0] == pytest.approx(laws[0].below[0])


def test_without_fading_the_mean_gain_is_all_there_is():
    fading = dataclasses.replace(SCENARIO.fading, model="none")
    scenario = stale(dataclasses.replace(SCENARIO, fading=fading), report_noise_db=1.0)
    belief = ChannelBelief(scenario, levels=64, **NO_UPLOADS)
    truth = 10.0 * np.log10(0.35)
    belief.reset(seen([[truth]], 0.0), nothing((1, 1), 0.0))
    for index in range(100):
        law = belief.observe(seen([[truth]], 0.0), nothing((1, 1), 0.3 * index))
    assert law.quantile_db(0.5)[0, 0] == pytest.approx(truth, abs=0.1)


def test_instants_are_those_of_the_environments():
    assert ChannelBelief.__init__.__kwdefaults__["instants"] == INSTANTS_PER_COHERENCE_TIME


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, r"levels must be a whole number in \[1, 64\], got 0"),
        ({"spacing_db": 9.0}, r"spacing_db must lie in \[0.1, 5\]"),
        ({"instants": 0}, r"instants must be a whole number in \[1, 1000\], got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ChannelBelief(SCENARIO, **options)


def test_scenarios_without_a_clock_are_refused():
    with pytest.raises(ValueError, match="clock is missing: channels age only where time passes"):
        ChannelBelief(dataclasses.replace(SCENARIO, clock=None))

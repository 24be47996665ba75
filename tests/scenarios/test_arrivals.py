"""Arrival processes against matrix algebra, against what they were fitted to, and against what they draw."""

import numpy as np
import pytest
from scipy import integrate, linalg, stats

from multispin_gym.scenarios.arrivals import PoissonProcess, SwitchedProcess, fit_switched_process

# Arrivals per second, variation of gaps, autocorrelation of counts in windows of 10 s: two traces of real arrivals.
CONVERSATION, CODE = (5.53, 1.09, 0.70), (2.57, 13.2, 0.47)
OTHERS = [
    (0.2, 3.0, 0.2),
    (50.0, 1.01, 0.05),
    (1.0, 500.0, 0.9),
    (5.53, 1.09, 0.82),
    (5.53, 1.09, 1e-4),
    (1.0, 2.0, 0.3),
]
WINDOW = 10.0


def matrices(process):
    """Phases that change, phases without arrivals, intensities, and the share of time of each phase."""
    leave = 1.0 / np.array(process.durations)
    change = np.array([[-leave[0], leave[0]], [leave[1], -leave[1]]])
    intensities = np.diag(process.intensities)
    shares = linalg.null_space(change.T)[:, 0]
    return change, change - intensities, intensities, shares / shares.sum()


def moments(process, window):
    """Mean rate, variation of gaps and autocorrelation of counts from the process's matrices."""
    change, silent, intensities, shares = matrices(process)
    rate = shares @ intensities @ np.ones(2)
    seen = shares @ intensities / rate
    inverse = linalg.inv(-silent)
    first, second = seen @ inverse @ np.ones(2), 2.0 * seen @ inverse @ inverse @ np.ones(2)

    def covariance(time):
        return shares @ intensities @ linalg.expm(change * time) @ intensities @ np.ones(2) - rate**2

    within = integrate.quad(lambda t: 2.0 * (window - t) * covariance(t), 0.0, window, epsabs=0.0, limit=200)[0]
    ends = {"points": [window], "epsabs": 0.0, "limit": 200}
    between = integrate.quad(lambda t: (window - abs(t - window)) * covariance(t), 0.0, 2.0 * window, **ends)[0]
    return rate, np.sqrt(second / first**2 - 1.0), between / (rate * window + within)


@pytest.mark.parametrize("process", [SwitchedProcess((7.0, 2.0), (3.0, 11.0)), SwitchedProcess((0.0, 4.0), (0.5, 9.0))])
@pytest.mark.parametrize("window", [1e-3, 1.0, 10.0])
def test_moments_are_those_of_the_matrices(process, window):
    said = process.rate, process.gap_variation, process.count_autocorrelation(window)
    assert said == pytest.approx(moments(process, window), rel=1e-6)


@pytest.mark.parametrize("targets", [CONVERSATION, CODE, *OTHERS])
def test_a_fit_has_what_it_was_fitted_to(targets):
    process = fit_switched_process(*targets, WINDOW)
    assert moments(process, WINDOW) == pytest.approx(targets, rel=1e-5)
    busy, quiet = process.intensities
    assert busy > quiet >= 0.0
    # Phases alike, or one of them silent.
    assert process.durations[0] == pytest.approx(process.durations[1], rel=1e-9) or quiet == 0.0


def test_the_two_traces_are_those_of_the_two_kinds():
    assert fit_switched_process(*CONVERSATION, WINDOW).intensities[1] > 1.0
    code = fit_switched_process(*CODE, WINDOW)
    assert code.intensities[1] == 0.0
    assert code.durations[1] > code.durations[0]


def test_of_several_fits_it_is_the_one_of_the_shortest_phases():
    # Few arrivals in a window: the autocorrelation rises before it falls as phases become shorter.
    process = fit_switched_process(0.01, 2.0, 0.05, WINDOW)
    shorter = np.geomspace(1.0, 1e4, 2000)[1:] * process.relaxation
    for relaxation in shorter[::50]:
        others = _of_the_same_kind(0.01, 2.0, relaxation)
        assert others.count_autocorrelation(WINDOW) < 0.05


def _of_the_same_kind(rate, variation, relaxation):
    """The process of that relaxation by another road: solve the variance for equal shares, or for a silent phase."""
    ratio = (variation**2 - 1.0) / 2.0
    # variance = ratio (product of intensities + relaxation rate), where the product is rate**2 - variance.
    variance = ratio * (rate**2 + relaxation * rate) / (1.0 + ratio)
    if variance <= rate**2:
        deviation = np.sqrt(variance)
        return SwitchedProcess((rate + deviation, rate - deviation), (2.0 / relaxation, 2.0 / relaxation))
    busy = 1.0 / (1.0 + ratio * relaxation / rate)
    return SwitchedProcess((rate / busy, 0.0), (1.0 / ((1.0 - busy) * relaxation), 1.0 / (busy * relaxation)))


@pytest.mark.parametrize("targets", [(5.53, 1.09, 0.9), (5.53, 1.001, 0.5), (0.1, 5.0, 0.999)])
def test_figures_that_no_process_has_are_refused_with_those_that_can_be_had(targets):
    with pytest.raises(
        ValueError, match=r"^count_autocorrelation must lie in \[.*\], where counts of .* got 0\."
    ) as error:
        fit_switched_process(*targets, WINDOW)
    least, most = (float(number) for number in str(error.value).partition("[")[2].partition("]")[0].split(", "))
    assert least < most < targets[2]
    rate, variation, _ = targets
    process = fit_switched_process(rate, variation, 0.99 * most, WINDOW)
    assert process.count_autocorrelation(WINDOW) == pytest.approx(0.99 * most)


def test_no_autocorrelation_is_refused():
    with pytest.raises(ValueError, match=r"got 0\.0$"):
        fit_switched_process(*CONVERSATION[:2], 0.0, WINDOW)


@pytest.mark.parametrize("process", [PoissonProcess(2.0), fit_switched_process(*CODE, WINDOW)])
def test_a_stretched_process_has_another_rate_and_the_same_variation(process):
    slower = process.stretched(0.5)
    assert slower.rate == pytest.approx(0.5)
    assert slower.gap_variation == pytest.approx(process.gap_variation)
    longer = WINDOW * process.rate / 0.5
    assert slower.count_autocorrelation(longer) == pytest.approx(process.count_autocorrelation(WINDOW))


def beginning(process, rng, rows=1):
    return process.begin(rng.random(rows), rng.exponential(size=rows))


def following(process, rng, count, state):
    """The times of the next arrivals of as many processes as there are states."""
    return process.arrivals(rng.exponential(size=(len(state), count)), phases(rng, len(state)), state)


def phases(rng, rows):
    """Draws for phases, the same whenever they are asked for."""
    known = rng.exponential(size=(rows, 0))

    def draw(first, last):
        nonlocal known
        known = np.concatenate((known, rng.exponential(size=(rows, max(last - known.shape[1], 0)))), axis=1)
        return known[:, first:last]

    return draw


def arrivals(process, seed, pieces, count):
    """Times of arrivals, drawn in pieces."""
    rng = np.random.default_rng(seed)
    state = beginning(process, rng)
    gaps = [np.diff(following(process, rng, count, state)[0], prepend=0.0) for _ in range(pieces)]
    return np.cumsum(np.concatenate(gaps))


def correlation(counts):
    return np.corrcoef(counts[:-1], counts[1:])[0, 1]


@pytest.mark.parametrize(("targets", "count"), [(CONVERSATION, 64), (CODE, 64), (CODE, 5)])
def test_drawn_arrivals_have_the_stated_rate_variation_and_autocorrelation(targets, count):
    times = arrivals(fit_switched_process(*targets, WINDOW), 1, 400_000 // count // 2, count)
    counts = np.bincount((times / WINDOW).astype(int))[:-1]
    gaps = np.diff(times)
    for values, measure, target in (
        (counts, lambda part: part.mean() / WINDOW, targets[0]),
        (gaps, lambda part: part.std() / part.mean(), targets[1]),
        (counts, correlation, targets[2]),
    ):
        parts = np.array([measure(part) for part in np.array_split(values, 20)])
        assert measure(values) == pytest.approx(target, abs=5.0 * parts.std() / np.sqrt(20.0))


def test_poisson_arrivals_have_exponential_gaps():
    rng, process = np.random.default_rng(2), PoissonProcess(4.0)
    state = beginning(process, rng)
    gaps = np.diff(following(process, rng, 20_000, state)[0], prepend=0.0)
    assert stats.kstest(gaps, stats.expon(scale=0.25).cdf).pvalue > 1e-3
    assert (process.gap_variation, process.count_autocorrelation(WINDOW)) == (1.0, 0.0)
    assert state.tolist() == [[0.0, np.inf]]


@pytest.mark.parametrize("targets", [CONVERSATION, CODE])
def test_a_process_begins_as_it_goes_on(targets):
    process = fit_switched_process(*targets, WINDOW)
    rng = np.random.default_rng(3)
    states = beginning(process, rng, 20_000)
    times = following(process, rng, 30, states)
    _, silent, intensities, shares = matrices(process)
    # The time until the first arrival as seen at an arbitrary time.
    grid = np.concatenate(([0.0], np.geomspace(1e-4, 1e4, 400)))
    law = np.array([1.0 - shares @ linalg.expm(silent * time) @ np.ones(2) for time in grid])
    assert stats.kstest(times[:, 0], lambda time: np.interp(time, grid, law)).pvalue > 1e-3
    # Counts in two windows of the same length have the same mean.
    window = 0.5 if targets is CONVERSATION else 0.25
    for start in (0.0, window):
        counts = ((times >= start) & (times < start + window)).sum(axis=1)
        error = counts.std() / np.sqrt(counts.size)
        assert counts.mean() == pytest.approx(process.rate * window, abs=4.5 * error)
    # What the last of the arrivals sees: a phase, with an exponential time left.
    phases, left = np.array(states).T
    seen = shares @ np.linalg.matrix_power(linalg.inv(-silent) @ intensities, 30)
    assert stats.binomtest(int((phases == 0).sum()), phases.size, min(seen[0], 1.0)).pvalue > 1e-3
    assert stats.kstest(left[phases == 0], stats.expon(scale=process.durations[0]).cdf).pvalue > 1e-3


def plain(process, exponentials, draws, phase, left):
    """The same arrivals one at a time: how much of the intensity's integral is missing, phase by phase."""
    draws, time, found = iter(draws), 0.0, []
    for missing in exponentials:
        while missing > left * process.intensities[phase]:
            missing -= left * process.intensities[phase]
            time, phase = time + left, 1 - phase
            left = process.durations[phase] * next(draws)
        step = missing / process.intensities[phase]
        time, left = time + step, left - step
        found.append(time)
    return found, phase, left


@pytest.mark.parametrize(
    "process",
    [
        fit_switched_process(*CONVERSATION, WINDOW),
        fit_switched_process(*CODE, WINDOW),
        SwitchedProcess((0.0, 3.0), (0.05, 0.1)),
        SwitchedProcess((5.0, 0.2), (0.3, 2.0)),
    ],
)
def test_arrivals_are_those_of_a_walk_from_phase_to_phase(process):
    rng, rows, count = np.random.default_rng(4), 20, 40
    state = beginning(process, rng, rows)
    exponentials, draw = rng.exponential(size=(rows, count)), phases(rng, rows)
    before = state.copy()
    times = process.arrivals(exponentials, draw, state)
    for row, (phase, left) in enumerate(before):
        exact, phase, left = plain(process, exponentials[row], draw(0, 1000)[row], int(phase), left)
        np.testing.assert_allclose(times[row], exact, rtol=1e-9)
        assert state[row].tolist() == pytest.approx([phase, left], rel=1e-6, abs=1e-9)
    # Rows do not depend on each other.
    for some in ([7], [3, 11]):
        alone = before[some].copy()
        found = process.arrivals(exponentials[some], lambda first, last, s=some: draw(first, last)[s], alone)
        np.testing.assert_array_equal(found, times[some])
        np.testing.assert_array_equal(alone, state[some])

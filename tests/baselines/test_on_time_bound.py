"""The bound on requests on time: closed forms, and that no policy exceeds it."""

import dataclasses

import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines.on_time_bound import EpisodeRequests, on_time_bound


def cell(**changes):
    verification = ms.AffineVerification(fixed=0.05, per_draft=0.02)
    given = {"min_draft_length": 0, "max_draft_length": 12, "verification": verification, **changes}
    return ms.Cell(10e6, payload=30_000.0, noise_power=1e-10, power="density", **given)


def requests(count, length, *, deadline=10.0, alpha=0.8, tau=0.03, arrival=0.0):
    full = np.ones(count)
    return EpisodeRequests(arrival * full, deadline * full, length * full, alpha * full, tau * full, full)


def best_rate(count, places, alpha=0.8, tau=0.03):
    """Tokens per second of all together where drafts of any real length go up in no time, ``places`` at once."""
    lengths = np.linspace(0.0, 12.0, 100_001)
    tokens = (1.0 - alpha ** (lengths + 1.0)) / (1.0 - alpha)
    number = min(count, places)
    return float((number * tokens / (0.05 + 0.02 * number + lengths * tau)).max())


@pytest.mark.parametrize(("count", "places"), [(1, 4), (3, 4), (6, 2)])
def test_alike_requests_share_the_best_rate(count, places):
    # All are due at once: what is earned is the tokens of ten seconds over the length of a request.
    found = on_time_bound(requests(count, 400.0), cell(), places, 100.0)
    expected = best_rate(count, places) * 10.0 / 400.0
    # Tangents at some lengths only are a little above the curve.
    assert expected <= found * (1 + 1e-9)
    assert found < expected * 1.02


def test_nobody_is_on_time_more_than_once():
    assert on_time_bound(requests(5, 3.0), cell(), 8, 100.0) == pytest.approx(5.0)


def test_nothing_is_served_before_it_comes_or_after_the_last_round():
    late = requests(1, 200.0, deadline=20.0, arrival=18.0)
    early = requests(1, 200.0, deadline=2.0)
    assert on_time_bound(late, cell(), 4, 100.0) == pytest.approx(on_time_bound(early, cell(), 4, 100.0))
    # The last round begins at 10 s and lasts 0.05 + 4 x 0.02 + 12 x 0.03 s at most.
    cut = requests(1, 200.0, deadline=30.0, arrival=9.0)
    same = requests(1, 200.0, deadline=10.49, arrival=9.0)
    assert on_time_bound(cut, cell(), 4, 10.0) == pytest.approx(on_time_bound(same, cell(), 4, 100.0))


def test_the_more_valuable_request_is_served_first():
    two = dataclasses.replace(requests(2, 200.0), value=np.array([1.0, 5.0]))
    one = dataclasses.replace(requests(1, 200.0), value=np.array([5.0]))
    found = on_time_bound(two, cell(), 1, 100.0)
    assert found == pytest.approx(on_time_bound(one, cell(), 1, 100.0), rel=1e-6)


def test_certain_acceptance_has_its_limit_and_nobody_earns_nothing():
    found = on_time_bound(requests(1, 1000.0, alpha=1.0), cell(), 1, 100.0)
    assert found == pytest.approx(10.0 * 13.0 / (0.07 + 12 * 0.03) / 1000.0)
    assert on_time_bound(requests(0, 1.0), cell(), 1, 100.0) == 0.0


def test_other_verification_times_are_refused():
    table = ms.TableVerification([1.0, 100.0], [0.05, 0.2])
    with pytest.raises(ValueError, match="verification must be affine, got TableVerification"):
        on_time_bound(requests(1, 10.0), cell(verification=table), 1, 100.0)

"""The headline benchmark: how users are spread, and that its report says what its numbers say."""

import json
import subprocess
import sys

import numpy as np
import pytest
from library import ROOT

from multispin_gym import Users, load_scenario, play_round
from multispin_gym.baselines import make_controller

pytestmark = pytest.mark.slow


@pytest.fixture
def headline(benchmark):
    return benchmark("headline")


def users(seed=3, batch=(40,), num_users=7):
    return load_scenario("laptops_60ms").sample_users(np.random.default_rng(seed), num_users, batch)


def test_spread_one_changes_nothing(headline):
    before, after = users(), headline.spread(users())
    for field in ("acceptance_rate", "drafting_speed", "received_power"):
        assert getattr(after, field) == pytest.approx(getattr(before, field), rel=1e-9)


def test_spread_zero_makes_a_cells_users_alike_and_keeps_the_median_user(headline):
    before, after = users(), headline.spread(users(), acceptance=0.0, speed=0.0, channel=0.0)
    for field in ("acceptance_rate", "drafting_speed", "received_power"):
        median = np.median(getattr(before, field), axis=-1, keepdims=True)
        assert getattr(after, field) == pytest.approx(np.broadcast_to(median, (40, 7)), rel=1e-9)


def test_spread_two_squares_ratios_to_the_median_and_touches_one_dimension_only(headline):
    before, after = users(), headline.spread(users(), acceptance=1.0, speed=2.0, channel=1.0)
    median = np.median(before.drafting_speed, axis=-1, keepdims=True)
    assert after.drafting_speed / median == pytest.approx((before.drafting_speed / median) ** 2, rel=1e-9)
    assert after.received_power == pytest.approx(before.received_power, rel=1e-9)
    odds = before.acceptance_rate / (1.0 - before.acceptance_rate)
    wide = headline.spread(users(), acceptance=2.0).acceptance_rate
    centre = np.median(odds, axis=-1, keepdims=True)
    assert wide / (1.0 - wide) / centre == pytest.approx((odds / centre) ** 2, rel=1e-6)


def test_certain_acceptance_stays_within_its_range(headline):
    certain = Users([1.0, 0.5, 0.0], 50.0, 1e-10, 0.01)
    spread = headline.spread(certain, acceptance=3.0).acceptance_rate
    assert ((spread > 0.0) & (spread <= 1.0)).all()


def test_where_users_are_alike_knowing_them_gains_nothing_over_the_best_common_length(headline):
    scenario = load_scenario("laptops_60ms")
    gains = list(headline.measure(scenario, None, 20, (0.0,), 0))
    alike = [gain for gain in gains if (gain.controller, gain.baseline) == ("homogeneous", "uniform_best")]
    assert [gain.gain for gain in alike] == pytest.approx([0.0] * 4, abs=1e-9)


def test_gain_at_spread_one_is_that_of_the_scenarios_own_users(headline):
    scenario = load_scenario("laptops_60ms")
    gains = list(headline.measure(scenario, None, 50, (1.0,), 8))
    drawn = scenario.sample_users(np.random.default_rng(8), batch=(50,))
    goodput = {
        name: play_round(drawn, scenario.cell, make_controller(name)(drawn, scenario.cell)).goodput
        for name in ("heterogeneous", "tk_slt")
    }
    wanted = ("all", "heterogeneous", "tk_slt")
    found = next(gain for gain in gains if (gain.dimension, gain.controller, gain.baseline) == wanted)
    own = goodput["heterogeneous"] / goodput["tk_slt"] - 1.0
    assert found.gain == pytest.approx(goodput["heterogeneous"].mean() / goodput["tk_slt"].mean() - 1.0, rel=1e-6)
    assert (found.decile, found.median, found.last_decile) == pytest.approx(tuple(np.quantile(own, (0.1, 0.5, 0.9))))
    assert found.low < found.gain < found.high


def test_command_writes_the_report_with_its_numbers_and_the_largest_gain(tmp_path, headline):
    script = str(ROOT / "benchmarks" / "headline.py")
    options = [
        "--scenarios",
        "laptops_60ms",
        "deep_fading",
        "--draws",
        "12",
        "--factors",
        "0",
        "1",
        "2",
        "--num-users",
        "4",
    ]
    options += ["--runner", "processes", "--output", str(tmp_path)]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"headline.{suffix}" for suffix in ("csv", "json", "md", "png")
    ]
    data = json.loads((tmp_path / "headline.json").read_text())
    gains = [dict(zip(data["columns"], gain, strict=True)) for gain in data["gains"]]
    assert len(gains) == 2 * 4 * 3 * 2 * len(headline.AGNOSTIC)
    report = (tmp_path / "headline.md").read_text()
    assert "**up to 88%**" in report
    for name, regrets in data["regret_to_nested_polished"].items():
        scenario = load_scenario(name)
        drawn = scenario.sample_users(np.random.default_rng(2026), 4, (12,))
        goodput = {
            each: play_round(drawn, scenario.cell, make_controller(each)(drawn, scenario.cell)).goodput.sum()
            for each in (*regrets, "nested_polished")
        }
        for each, regret in regrets.items():
            assert regret["mean"] == pytest.approx(1.0 - goodput[each] / goodput["nested_polished"], abs=1e-12)
            assert f"{regret['mean']:+.3%}" in next(
                line for line in report.partition("Regret to")[2].splitlines() if line.startswith(f"| {name} |")
            )
    for baseline in headline.AGNOSTIC:
        top = max(gain["gain"] for gain in gains if gain["baseline"] == baseline)
        assert f"- over `{baseline}`: **{top:+.0%}**" in report
    strongest = [
        min(
            gain["gain"]
            for gain in gains
            if (gain["scenario"], gain["dimension"], gain["factor"], gain["controller"]) == point
        )
        for point in {(g["scenario"], g["dimension"], g["factor"], g["controller"]) for g in gains}
    ]
    assert f"at the same point: **{max(strongest):+.0%}**" in report
    assert f"--draws 12 --factors 0 1 2 --num-users 4 --runner processes --output {tmp_path}" in report
    assert (tmp_path / "headline.png").read_bytes().startswith(b"\x89PNG")

"""The study of what maximising each round costs: its goodput is the evaluation's, between two instants."""

import json

import numpy as np
import pytest
from library import ROOT

from multispin_gym import load_scenario
from multispin_gym.envs.variants import HIDDEN
from multispin_gym.evaluation.service.loop import play_service

pytestmark = pytest.mark.slow
OPTIONS = {"episodes": 2, "warm_up": 4.0, "seconds": 6.0, "seed": 3}


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("reversal")


def test_goodput_is_what_comes_between_two_instants_of_an_evaluation(study):
    found = study.measure("paper_qwen35", 3, 1.0, study.BASE, OPTIONS)
    early, late = (
        play_service(study.player(study.BASE, scenario), HIDDEN, scenario, 2, 3)
        for scenario in (study.served("paper_qwen35", 3, 1.0, seconds) for seconds in (4.0, 10.0))
    )
    expected = (late.tokens - early.tokens) / (late.seconds - early.seconds)
    np.testing.assert_allclose(found["goodput"], expected, rtol=1e-12)


def test_cells_are_those_of_the_paper_with_part_of_the_variance_between_requests(study):
    scenario, whole = study.served("paper_llama2", 5, 0.25, 30.0), load_scenario("paper_llama2")
    assert (scenario.num_users, scenario.cell.min_draft_length, scenario.acceptance_rates) == (5, 0, "own")
    assert scenario.clock.requests == load_scenario("hidden").clock.requests
    assert (scenario.clock.episode_seconds, scenario.clock.hidden) == (30.0, True)
    for task, before in zip(scenario.acceptance, whole.acceptance, strict=True):
        assert task.rate == before.rate
        assert task.deviation == pytest.approx(0.5 * before.deviation)


def test_the_page_compares_every_rule_with_the_one_that_knows_means(study, tmp_path):
    words = "--scenarios paper_qwen35 --num-users 2 --shares 0 --episodes 2 --warm-up 3 --seconds 4 --seed 3"
    assert study.main([*words.split(), "--output", str(tmp_path)]) == 0
    cells = json.loads((tmp_path / "reversal.json").read_text())["cells"]
    assert list(cells) == ["paper_qwen35, 2 users", "paper_qwen35, 2 users, 0 of the variance"]
    whole, none = (cell["rules"] for cell in cells.values())
    assert list(whole) == list(study.RULES)
    for rules in (whole, none):
        for row in rules.values():
            ratio = np.mean(row["goodput"]) / np.mean(rules[study.BASE]["goodput"])
            assert row["gain"]["mean"] == pytest.approx(ratio - 1.0, abs=1e-12)
    # Where requests of a task are all alike, who knows their rates knows no more than who knows the means.
    assert none["round, truth"]["goodput"] == none[study.BASE]["goodput"]
    assert none[study.BASE]["slow_share"] == 0.0
    page = (tmp_path / "reversal.md").read_text()
    assert f"{whole['fair, posterior']['gain']['mean']:+.1%}" in page
    for name in ("reversal.png", "reversal_shares.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

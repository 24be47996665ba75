import dataclasses
import runpy
import tomllib
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from multispin_gym import list_scenarios, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.envs.variants import VARIANTS

ROOT = Path(__file__).parents[2]
RENDER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "render_scenarios.py"))


PAPERS = ("paper_llama2", "paper_qwen35")
# Arrivals, deadlines, coherence time, age and noise of reports, cut-off, hidden rates, reward, seconds.
CLOCKS: dict[str, tuple[Any, ...]] = {
    "deadline": ("poisson", (1.2, 3.0), 2.0, 0.0, 0.0, False, False, "requests_on_time", 120.0),
    "hidden": ("replaced", None, 0.0, 0.0, 0.0, False, True, "tokens", 120.0),
    "serve": ("bursty", (1.2, 3.0), 2.0, 0.3, 1.0, True, True, "tokens_on_time", 120.0),
    "stale": (None, None, 2.0, 0.3, 1.0, True, False, "tokens", 60.0),
}


def test_the_presets_cover_what_they_are_said_to() -> None:
    assert list_scenarios(clock=True) == list(CLOCKS) == ["deadline", "hidden", "serve", "stale"]
    assert list_scenarios() == sorted([*list_scenarios(clock=False), *CLOCKS])
    assert list_scenarios(clock=False) == [
        "deep_fading",
        "laptops_60ms",
        "laptops_60ms_density",
        "paper_llama2",
        "paper_qwen35",
        "qwen35_27b_eager",
        "twenty_users",
    ]
    assert load_scenario("twenty_users").num_users == 20
    for name in set(list_scenarios(clock=False)) - set(PAPERS):
        scenario = load_scenario(name)
        assert scenario.cell.bandwidth == 10e6
        assert scenario.cell.payload == 16_384
        least = 1 if name.startswith("laptops") else 0
        assert (scenario.cell.min_draft_length, scenario.cell.max_draft_length) == (least, 12)
        # -174 dBm/Hz
        assert scenario.cell.noise_psd == pytest.approx(10**-17.4 * 1e-3, rel=1e-12)


def test_the_papers_cell_is_what_is_played_unless_told_otherwise() -> None:
    assert load_scenario("default") == load_scenario("paper_qwen35")
    for row in VARIANTS.values():
        env = gym.make(row.id)
        cell = load_scenario("paper_qwen35").cell
        assert env.unwrapped.scenario == load_scenario(row.scenario)  # type: ignore[attr-defined]
        assert env.unwrapped.cell.max_draft_length == 25  # type: ignore[attr-defined]
        assert env.unwrapped.cell.verification == cell.verification  # type: ignore[attr-defined]
        assert (env.unwrapped.scenario == load_scenario("paper_qwen35")) is not row.clock  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "vocabulary_bits", "fixed", "per_draft", "rates", "deviations"),
    [
        ("paper_llama2", 15, 0.02268, 0.01272, (0.8582, 0.7390, 0.7393, 0.7126), (0.2472, 0.3133, 0.3127, 0.3333)),
        ("paper_qwen35", 18, 0.07507, 0.01978, (0.8100, 0.9340, 0.9318, 0.9650), (0.3413, 0.2089, 0.2232, 0.1538)),
    ],
)
def test_the_papers_cells_have_its_numbers(
    name: str,
    vocabulary_bits: int,
    fixed: float,
    per_draft: float,
    rates: tuple[float, ...],
    deviations: tuple[float, ...],
) -> None:
    scenario = load_scenario(name)
    cell = scenario.cell
    assert (scenario.num_users, cell.bandwidth, cell.noise_power) == (20, 10e6, 1e-10)
    assert (cell.min_draft_length, cell.max_draft_length) == (1, 25)
    assert cell.payload == 1024 * (16 + vocabulary_bits)
    assert float(cell.verification.round_time(np.ones(16))) == pytest.approx(fixed + 16 * per_draft, rel=1e-12)
    assert tuple(task.rate for task in scenario.acceptance) == rates
    assert tuple(task.deviation for task in scenario.acceptance) == deviations
    users = scenario.sample_users(np.random.default_rng(0), batch=(1000,))
    np.testing.assert_array_equal(np.unique(users.acceptance_rate), np.sort(np.float32(rates)))
    # Exponential fading of a mean that is uniform on [0.2, 0.5].
    assert users.channel_gain.mean() == pytest.approx(0.35, rel=0.03)
    slowest, fastest = users.drafting_time.max(), users.drafting_time.min()
    assert slowest / fastest == pytest.approx(1.15 / 0.85, rel=1e-3)


@pytest.mark.parametrize("name", CLOCKS)
def test_presets_with_a_clock_say_what_passes_in_them(name: str) -> None:
    scenario = load_scenario(name)
    clock = scenario.clock
    assert clock is not None
    requests = clock.requests
    said = (None, None) if requests is None else (requests.arrivals, requests.slack)
    passing = (clock.coherence_time, clock.report_age, clock.report_noise_db, clock.cutoff, clock.hidden)
    assert (*said, *passing, clock.reward, clock.episode_seconds) == CLOCKS[name]
    assert (clock.cutoff_min, clock.cutoff_max, clock.round_timeout, clock.sampled) == (0.05, 5.0, 5.0, True)
    if requests is not None:
        assert (requests.load, requests.queue_factor) == (0.9, 4)
    # The physics is the paper's, of fewer users, who may opt out.
    paper = load_scenario("paper_qwen35")
    assert scenario.cell == dataclasses.replace(paper.cell, min_draft_length=0)
    for field in ("acceptance", "devices", "mean_gain", "transmit_power_dbm", "reference_power", "fading"):
        assert getattr(scenario, field) == getattr(paper, field), field
    assert scenario.num_users == 8
    assert scenario.acceptance_rates == ("own" if clock.hidden else "task")


@pytest.mark.parametrize("name", PAPERS)
def test_speculation_pays_twofold_and_more_in_the_papers_cell(name: str) -> None:
    played, _ = goodputs(name, draws=100)
    assert played["heterogeneous"].mean() > 2.0 * played["server_only"].mean()


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("default_density", "laptops_60ms_density"),
        ("llama2_7b", "paper_llama2"),
        ("llama2_7b_eager", "paper_llama2"),
        ("qwen35_27b", "paper_qwen35"),
    ],
)
def test_a_scenario_that_is_gone_names_its_successor(name: str, successor: str) -> None:
    with pytest.raises(ValueError, match=rf"^scenario '{name}' is gone, .*'{successor}' takes its place$"):
        load_scenario(name)
    assert successor in list_scenarios()


@pytest.mark.parametrize("name", list_scenarios())
def test_every_number_of_a_preset_has_one_statement_of_its_source(name: str) -> None:
    tree = RENDER["read"](name)
    leaves = RENDER["leaves"](tree)
    keys = [key for source in tree["sources"] for key in source["keys"]]
    for leaf in leaves:
        assert sum(RENDER["covers"](key, leaf) for key in keys) == 1, leaf
    for key in keys:
        assert any(RENDER["covers"](key, leaf) for leaf in leaves), key


@pytest.mark.parametrize("name", list_scenarios())
def test_the_page_shows_every_number_that_the_package_loads(name: str) -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    part = page.partition(f"### `{name}`")[2].partition("\n### ")[0]
    scenario = load_scenario(name)
    assert scenario.description in part
    for low, high in [scenario.distance or scenario.mean_gain, *(task.law[0] for task in scenario.acceptance)]:
        assert f"[{low:g}, {high:g}]" in part or (low, high) == (0.0, 1.0)
    for task in scenario.acceptance:
        for number in (task.rate, task.deviation):
            assert number is None or f"{number:g}" in part
    for device in scenario.devices:
        for number in device.speeds or device.speed_range or device.time_range or ():
            assert f"{number:.12g}" in part


def test_the_generated_parts_of_the_page_follow_from_the_files() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert RENDER["render"](page) == page, "run python docs/render_scenarios.py"


def test_files_and_loaded_names_agree() -> None:
    for path in (ROOT / "multispin_gym" / "scenarios" / "presets").glob("*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8"))["name"] == path.stem


def goodputs(name: str, draws: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(20), batch=(draws,))
    decisions = {
        policy: make_controller(policy)(users, scenario.cell)
        for policy in ("server_only", "uniform_best", "homogeneous", "heterogeneous")
    }
    played = {policy: play_round(users, scenario.cell, decision).goodput for policy, decision in decisions.items()}
    return played, decisions["heterogeneous"].draft_lengths


def test_among_laptops_the_decision_matters() -> None:
    assert load_scenario("laptops_60ms").num_users == 8
    played, lengths = goodputs("laptops_60ms", draws=400)
    ratios = {policy: goodput / played["heterogeneous"] for policy, goodput in played.items()}
    low, high = {}, {}
    for policy, ratio in ratios.items():
        error = 3.0 * ratio.std() / np.sqrt(ratio.size)
        low[policy], high[policy] = ratio.mean() - error, ratio.mean() + error
    assert high["server_only"] < 0.75
    assert low["uniform_best"] > 0.7
    assert high["uniform_best"] < 0.95
    assert high["homogeneous"] < 0.97
    share = np.bincount(lengths.ravel(), minlength=8) / lengths.size
    assert (share[1:8] > 0.01).all()


@pytest.mark.slow
def test_opting_out_is_used_in_deep_fades() -> None:
    played, lengths = goodputs("deep_fading", draws=100)
    assert 0.01 < (lengths == 0).mean() < 0.3
    scenario = load_scenario("deep_fading")
    users = scenario.sample_users(np.random.default_rng(20), batch=(100,))
    forced = dataclasses.replace(scenario.cell, min_draft_length=1)
    without = play_round(users, forced, make_controller("heterogeneous")(users, forced)).goodput
    assert played["heterogeneous"].mean() > 1.1 * without.mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("qwen35_27b_eager", 0.85, 1.0),
        ("twenty_users", 0.85, 1.0),
        ("laptops_60ms", 0.0, 0.9),
        ("laptops_60ms_density", 0.0, 0.9),
        ("deep_fading", 0.0, 0.9),
    ],
)
def test_plain_decoding_stands_where_the_page_says(name: str, least: float, most: float) -> None:
    played, _ = goodputs(name, draws=100)
    assert least < played["server_only"].mean() / played["heterogeneous"].mean() < most

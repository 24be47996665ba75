import dataclasses
import runpy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multispin_gym import list_scenarios, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.scenarios.measured_tables import load_measurement

ROOT = Path(__file__).parents[2]
RENDER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "render_scenarios.py"))


def test_the_presets_cover_what_they_are_said_to() -> None:
    assert list_scenarios() == [
        "deep_fading",
        "default",
        "default_density",
        "llama2_7b",
        "llama2_7b_eager",
        "qwen35_27b",
        "qwen35_27b_eager",
        "twenty_users",
    ]
    assert load_scenario("deep_fading").cell.min_draft_length == 0
    assert load_scenario("twenty_users").num_users == 20
    for name in list_scenarios():
        scenario = load_scenario(name)
        assert scenario.cell.bandwidth == 10e6
        assert scenario.cell.payload == 16_384
        assert scenario.cell.max_draft_length == 12
        # -174 dBm/Hz
        assert scenario.cell.noise_psd == pytest.approx(10**-17.4 * 1e-3, rel=1e-12)


def test_eager_servers_are_four_times_slower_than_the_optimised_ones() -> None:
    sizes = np.array([1.0, 8.0, 100.0, 136.0, 4096.0])
    for name in ("llama2_7b", "qwen35_27b"):
        fast, slow = load_scenario(name).cell.verification, load_scenario(f"{name}_eager").cell.verification
        np.testing.assert_allclose(slow.time(sizes), 4.0 * fast.time(sizes), rtol=1e-12)


def test_the_27b_server_lies_midway_between_the_measured_20b_and_34b() -> None:
    server = load_scenario("qwen35_27b").cell.verification
    fits = []
    for name in ("a100_internlm_20b", "a100_codellama_34b"):
        table = load_measurement(name)
        sizes, times = np.array(table.num_tokens), np.array(table.seconds)
        fits.append(np.polyfit(sizes[sizes <= 256], times[sizes <= 256], 1))
    between = np.polyval(np.mean(fits, axis=0), [1.0, 64.0, 128.0])
    np.testing.assert_allclose(server.time([1.0, 64.0, 128.0]), between, rtol=0.01)


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
    for low, high in [scenario.distance, *(task.rate_range for task in scenario.acceptance)]:
        assert f"[{low:g}, {high:g}]" in part
    for device in scenario.devices:
        for speed in device.speeds or device.speed_range or ():
            assert f"{speed:g}" in part


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


def test_in_the_default_cell_the_decision_matters() -> None:
    assert load_scenario("default").num_users == 8
    played, lengths = goodputs("default", draws=400)
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
        ("llama2_7b", 2.0, np.inf),
        ("llama2_7b_eager", 2.0, np.inf),
        ("qwen35_27b", 2.0, np.inf),
        ("qwen35_27b_eager", 0.85, 1.15),
        ("twenty_users", 1.0, 2.0),
        ("default", 0.0, 0.9),
        ("default_density", 0.0, 0.9),
        ("deep_fading", 0.0, 0.9),
    ],
)
def test_plain_decoding_stands_where_the_page_says(name: str, least: float, most: float) -> None:
    played, _ = goodputs(name, draws=100)
    assert least < played["server_only"].mean() / played["heterogeneous"].mean() < most

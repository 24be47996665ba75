import runpy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multispin_gym import list_scenarios, load_scenario
from multispin_gym.measurements import load_measurement

ROOT = Path(__file__).parents[1]
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
    for path in (ROOT / "multispin_gym" / "presets").glob("*.toml"):
        assert tomllib.loads(path.read_text(encoding="utf-8"))["name"] == path.stem

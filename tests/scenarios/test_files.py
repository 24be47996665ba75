import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from multispin_gym import AffineVerification, Scenario, TableVerification, list_scenarios, load_scenario
from multispin_gym.physics.fading import Fading
from multispin_gym.physics.protocols import top_k
from multispin_gym.scenarios import Clock, Requests
from multispin_gym.scenarios.arrivals import fit_switched_process
from multispin_gym.scenarios.changes import change_scenario
from multispin_gym.scenarios.measured_tables import list_measurements, load_measurement, measured_verification
from multispin_gym.scenarios.populations import DeviceClass
from multispin_gym.scenarios.sources import Source

DOCS = Path(__file__).parents[2] / "docs"
MINIMAL = """
name = "minimal"
distance = [100, 500]
transmit_power_dbm = [10, 15]

[cell]
bandwidth = 10e6
noise_psd = 4e-21
payload = 16384

[cell.verification]
fixed = 0.06

[path_loss]
gain_at_1m_db = -30
exponent = 3.5

[[acceptance]]
task = "chat"
rate_range = [0.5, 0.7]

[[devices]]
name = "laptop"
speed_range = [60, 300]
"""


@pytest.mark.parametrize("name", list_scenarios())
def test_every_preset_survives_the_way_to_toml_and_back(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    again = Scenario.from_toml(scenario.to_toml())
    assert again == scenario
    assert hash(again) == hash(scenario)


def test_awkward_values_survive_the_way_to_toml_and_back() -> None:
    scenario = dataclasses.replace(
        load_scenario("laptops_60ms"),
        name='quote " backslash \\ newline \n tab \t delete \x7f bell \x07 ümläut 中 [x] # no comment = "1"',
        reference_power=1 / 3,
        devices=[DeviceClass("a", speeds=[0.1 + 0.2, 1e-7, 1e22])],
        sources=[Source(["cell", "distance"], "assumed", "a 'note'\r\nin two lines")],
        fading=Fading("rayleigh", 0.1),
    )
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    without = dataclasses.replace(scenario, sources=())
    assert Scenario.from_toml(without.to_toml()) == without


def test_a_minimal_file_takes_the_defaults() -> None:
    scenario = Scenario.from_toml(MINIMAL)
    assert (scenario.num_users, scenario.num_rounds, scenario.reference_power) == (8, 100, 0.01)
    assert scenario.cell.verification == AffineVerification(0.06)
    assert (scenario.cell.power, scenario.cell.min_draft_length, scenario.cell.max_draft_length) == ("total", 1, 12)
    assert scenario.fading == Fading("rayleigh", 0.0)
    assert scenario.sources == ()


def test_payload_by_protocol_is_read_as_bits() -> None:
    text = MINIMAL.replace("payload = 16384", 'payload = { protocol = "top_k", vocabulary_size = 32000, k = 64 }')
    assert Scenario.from_toml(text).cell.payload == top_k(32_000, 64) == 1984


def test_verification_is_read_in_its_three_forms() -> None:
    def verification(lines: str) -> object:
        return Scenario.from_toml(MINIMAL.replace("fixed = 0.06", lines)).cell.verification

    assert verification('fixed = 0.05\nper_token = 1e-4\nbatching = "ragged"') == AffineVerification(
        0.05, 1e-4, "ragged"
    )
    assert verification("num_tokens = [1, 64]\nseconds = [0.01, 0.02]\ntail_per_token = 1e-4") == TableVerification(
        [1, 64], [0.01, 0.02], "padded", 1e-4
    )
    measured = verification('table = "a100_llama2_7b"\nscale = 4.0\nbatching = "ragged"')
    assert measured == measured_verification("a100_llama2_7b", batching="ragged", scale=4.0)


def test_measured_tables_equal_their_source_in_seconds() -> None:
    assert list_measurements() == ["a100_codellama_34b", "a100_internlm_20b", "a100_llama2_7b"]
    llama = load_measurement("a100_llama2_7b")
    assert len(llama.num_tokens) == len(llama.seconds) == 259
    by_size = dict(zip(llama.num_tokens, llama.seconds, strict=True))
    assert (by_size[1], by_size[128], by_size[136]) == (0.009347, 0.012345, 0.017689)
    assert load_measurement("a100_codellama_34b").seconds[0] == 0.044235
    assert "vidur" in llama.source
    assert "MIT" in llama.source


@pytest.mark.parametrize(
    ("name", "fixed", "per_token"),
    [("a100_llama2_7b", 8.45, 0.0439), ("a100_internlm_20b", 23.94, 0.107), ("a100_codellama_34b", 39.61, 0.202)],
)
def test_measured_tables_have_the_affine_fits_that_are_quoted_of_them(
    name: str, fixed: float, per_token: float
) -> None:
    table = load_measurement(name)
    sizes, times = np.array(table.num_tokens), 1e3 * np.array(table.seconds)
    slope, intercept = np.polyfit(sizes[sizes <= 256], times[sizes <= 256], 1)
    assert intercept == pytest.approx(fixed, abs=0.006)
    assert slope == pytest.approx(per_token, abs=6e-4)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("bandwidth", "bandwith", ValueError, r"^cell\.bandwith is not a key of \[cell\].*Did you mean 'bandwidth'\?$"),
        ("[path_loss]", "[pathloss]", ValueError, r"^pathloss is not a key of a scenario.*Did you mean 'path_loss'"),
        ("rate_range", "rates", ValueError, r"^acceptance\[0\]\.rates is not a key of \[acceptance\[0\]\]"),
        ('name = "minimal"', "", ValueError, "^name is missing"),
        ("noise_psd = 4e-21", "", ValueError, r"^cell\.noise_psd is missing"),
        ('task = "chat"', "task = 3", TypeError, r"^acceptance\[0\]\.task must be a string, got 3"),
        ("fixed = 0.06", "", ValueError, r"^cell\.verification needs fixed"),
        ("fixed", "fixd", ValueError, r"^cell\.verification\.fixd is not a key.*Did you mean 'fixed'"),
        (
            "fixed = 0.06",
            "fixed = -1",
            ValueError,
            r"^cell\.verification\.fixed must lie in \[1e-50, 1e\+50\], got -1.0",
        ),
        ("fixed = 0.06", "fixed = 0.06\nslope = 1", ValueError, r"^cell\.verification\.slope is not a key"),
        ("fixed = 0.06", "num_tokens = [1, 2]", ValueError, r"^cell\.verification\.seconds is missing"),
        (
            "fixed = 0.06",
            "num_tokens = [2, 1]\nseconds = [1, 1]",
            ValueError,
            r"^cell\.verification\.num_tokens must strictly increase",
        ),
        (
            "fixed = 0.06",
            'table = "a100_llama2_8b"',
            ValueError,
            r"^cell\.verification\.table must be one of .* Did you mean 'a100_llama2_7b'",
        ),
        ("fixed = 0.06", "table = 7", ValueError, r"^cell\.verification\.table must be one of .*got 7"),
        (
            "fixed = 0.06",
            'table = "a100_llama2_7b"\nscale = 0',
            ValueError,
            r"^cell\.verification\.scale must lie in \[1e-50, 1e\+50\]",
        ),
        (
            "fixed = 0.06",
            'table = "a100_llama2_7b"\nfixed = 0.1',
            ValueError,
            r"^cell\.verification\.fixed is not a key of \[cell\.verification\], which takes table, batching, scale",
        ),
        (
            "fixed = 0.06",
            'fixed = 0.06\nbatching = "raged"',
            ValueError,
            r"^cell\.verification\.batching must be one of .* Did you mean 'ragged'",
        ),
        ("bandwidth = 10e6", 'bandwidth = "10e6"', TypeError, r"^cell\.bandwidth must be a number.*got '10e6'"),
        ("bandwidth = 10e6", "bandwidth = true", TypeError, r"^cell\.bandwidth must be a number.*got True"),
        ("bandwidth = 10e6", "bandwidth = inf", ValueError, r"^cell\.bandwidth must lie in \[1e-50, 1e\+50\], got inf"),
        ("bandwidth = 10e6", "bandwidth = nan", ValueError, r"^cell\.bandwidth must lie in \[1e-50, 1e\+50\], got nan"),
        ("payload = 16384", 'payload = "16384"', TypeError, r"^cell\.payload must be a number"),
        ("payload = 16384", "payload = {}", ValueError, r"^cell\.payload\.protocol is missing"),
        (
            "payload = 16384",
            'payload = {protocol = "dsd"}',
            ValueError,
            r"^cell\.payload\.protocol.*Did you mean 'dssd'",
        ),
        (
            "payload = 16384",
            'payload = {protocol = "dssd"}',
            ValueError,
            r"^cell\.payload\.vocabulary_size is missing",
        ),
        (
            "payload = 16384",
            'payload = {protocol = "dssd", vocabulary = 3}',
            ValueError,
            r"^cell\.payload\.vocabulary is not a key of protocol 'dssd'",
        ),
        ("payload = 16384", 'payload = 1\npower = "totl"', ValueError, r"^cell\.power must be one of .*'total'\?$"),
        (
            "payload = 16384",
            "payload = 1\nmax_draft_length = 2.5",
            ValueError,
            r"^cell\.max_draft_length must be a whole number",
        ),
        ("exponent = 3.5", "exponent = -1", ValueError, r"^path_loss\.exponent must lie in \[0, 100\], got -1"),
        ("[0.5, 0.7]", "[0.5, 1.7]", ValueError, r"^acceptance\[0\]\.rate_range\[1\] must lie in \[0, 1\], got 1.7"),
        ("[60, 300]", "[300, 60]", ValueError, r"^devices\[0\]\.speed_range must be a pair"),
        ("[60, 300]", "[true, 60]", TypeError, r"^devices\[0\]\.speed_range\[0\] must be a number.*got True"),
        ("speed_range = [60, 300]", "speeds = 60", TypeError, r"^devices\[0\]\.speeds must be a list"),
        ("[[devices]]", "[devices]", TypeError, r"^devices must be an array of tables, \[\[devices\]\]"),
        ("distance = [100, 500]", 'distance = "far"', TypeError, "^distance must be a pair"),
        ("distance = [100, 500]", "distance = [100, 500]\nfading = 3", TypeError, "^fading must be a table, got 3"),
        (
            "[path_loss]",
            '[fading]\nmodel = "raileigh"\n[path_loss]',
            ValueError,
            r"^fading\.model must be one of rayleigh, none; got 'raileigh'\. Did you mean 'rayleigh'",
        ),
        (
            "[path_loss]",
            "[fading]\ncorrelation = 2\n[path_loss]",
            ValueError,
            r"^fading\.correlation must lie in \[0, 1\]",
        ),
        (
            "[path_loss]",
            '[[sources]]\nkeys = ["cell"]\nstatus = "guessed"\nsource = "x"\n[path_loss]',
            ValueError,
            r"^sources\[0\]\.status must be one of measured, derived, assumed",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_dotted_key(old: str, new: str, error: type[Exception], message: str) -> None:
    assert old in MINIMAL
    with pytest.raises(error, match=message):
        Scenario.from_toml(MINIMAL.replace(old, new, 1))


def test_text_that_is_not_toml_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the text is not valid TOML: .* \(at line 2"):
        Scenario.from_toml("num_users = 8\nname = oops\n")


def test_scenarios_are_loaded_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert load_scenario(path) == load_scenario(str(path)) == Scenario.from_toml(MINIMAL)
    assert load_scenario("laptops_60ms").num_users == 8


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scenario must be one of .* Did you mean 'default'"):
        load_scenario("defaut")
    with pytest.raises(FileNotFoundError, match=r"scenario file .*missing\.toml' does not exist"):
        load_scenario(tmp_path / "missing.toml")
    with pytest.raises(FileNotFoundError, match="'nowhere/default' does not exist"):
        load_scenario("nowhere/default")
    with pytest.raises(TypeError, match="scenario must be a name or the path"):
        load_scenario(3)  # type: ignore[arg-type]
    path = tmp_path / "wrong.toml"
    path.write_text(MINIMAL.replace("10e6", "-1"), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: cell\.bandwidth must lie in"):
        load_scenario(path)
    path.write_text("name = oops", encoding="utf-8")
    with pytest.raises(ValueError, match=r"wrong\.toml: the text is not valid TOML: .*line 1"):
        load_scenario(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"wrong\.toml: it must be UTF-8 text, got the byte 0xff at 0"):
        load_scenario(path)


def test_the_documented_example_is_a_scenario_with_the_documented_values() -> None:
    page = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    scenario = Scenario.from_toml(re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)[0])
    assert scenario.name == "campus"
    assert scenario.cell.payload == 1984
    assert scenario.cell.verification.time(1) == pytest.approx(2 * 0.009347)
    assert scenario.observation_bounds["drafting_speed"] == (19.0, 160.0)
    users = scenario.sample_users(np.random.default_rng(0), batch=(50,))
    assert users.num_users == 12
    assert users.acceptance_rate.min() > 0.4


def test_the_documented_clock_is_one_and_its_tables_name_every_key() -> None:
    page = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    part = page.partition("## Time and requests")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```toml\n(.*?)```", part, flags=re.DOTALL)
    clock = Scenario.from_toml(f"{MINIMAL}\n{block}").clock
    assert clock is not None
    assert clock.requests is not None
    assert (clock.requests.length_tokens, clock.requests.slack) == ((1, 129, 700), (1.2, 3.0))
    rows = re.findall(r"(?m)^\| (`.*?`) \|", part.replace(block, ""))
    named = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    fields = [field.name for cls in (Clock, Requests) for field in dataclasses.fields(cls)]
    assert sorted(named) == sorted(name for name in fields if name != "requests")


def test_the_page_says_what_the_traces_phases_are() -> None:
    page = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    text = " ".join(page.partition("**Bursty arrivals**")[2].split())
    conversation = fit_switched_process(5.53, 1.09, 0.70, 10.0)
    (high, low), (seconds, _) = conversation.intensities, conversation.durations
    assert f"{high:.1f} and {low:.1f} requests/s for {seconds:.0f} s each" in text
    code = fit_switched_process(2.57, 13.2, 0.47, 10.0)
    (high, _), (busy, quiet) = code.intensities, code.durations
    assert f"{high:.1f} requests/s for {busy:.0f} s and then none for {quiet:.0f} s" in text
    clock = load_scenario("serve").clock
    assert clock is not None
    assert clock.requests is not None
    rate = dataclasses.replace(clock.requests, reference_goodput=100.0).rate
    assert f"100 token/s serves {rate:.1f} requests/s" in text
    # Some twenty minutes.
    assert 1080.0 < conversation.stretched(rate).durations[0] < 1320.0


def test_the_label_of_a_task_may_be_left_out() -> None:
    without = Scenario.from_toml(MINIMAL.replace('task = "chat"\n', ""))
    assert without.acceptance[0].task == ""
    assert without.acceptance[0].rate_range == (0.5, 0.7)
    assert Scenario.from_toml(without.to_toml()) == without


def test_a_round_trip_and_a_downlink_are_written_where_there_are_any():
    scenario = load_scenario("laptops_60ms")
    text = scenario.to_toml()
    assert not any(word in text for word in ("round_trip", "downlink"))
    cell = dataclasses.replace(scenario.cell, round_trip=0.04, downlink=1e6, downlink_payload=48.0)
    changed = dataclasses.replace(scenario, cell=cell)
    assert changed.to_toml() == text.replace(
        "max_draft_length = 12\n",
        "max_draft_length = 12\nround_trip = 0.04\ndownlink = 1000000.0\ndownlink_payload = 48.0\n",
    )
    assert Scenario.from_toml(changed.to_toml()).cell == cell
    assert change_scenario(scenario, {"cell.round_trip": 0.04}).cell == dataclasses.replace(
        scenario.cell, round_trip=0.04
    )

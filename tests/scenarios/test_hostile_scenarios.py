"""Scenario files that nobody should hand in: refused in one short line before anything of their size is made."""

import re

import pytest

from multispin_gym import Scenario, load_scenario
from multispin_gym.scenarios import change_scenario
from multispin_gym.scenarios.changes import read_changes
from multispin_gym.scenarios.measured_tables import PRESETS, load_measurement, read_measurements

VALID = load_scenario("laptops_60ms").to_toml()
TABLE = PRESETS.joinpath("a100_verification_latency_ms.csv").read_text(encoding="utf-8")


def replaced(key, value, text=VALID):
    """Give a key of the default scenario another value, wherever it stands first."""
    return re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {value}", text, count=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (replaced("num_users", "1000000000"), r"num_users must be a whole number in \[1, 100000\], got 1000000000"),
        (
            replaced("max_draft_length", "1e9"),
            r"cell.max_draft_length must be a whole number in \[1, 10000\], got 1000",
        ),
        (
            replaced("max_draft_length", "1e18"),
            r"cell.max_draft_length must be a whole number in \[1, 10000\], got 1e\+18",
        ),
        (replaced("reference_power", "1e308"), r"reference_power must lie in \[1e-50, 1e\+50\], got 1e\+308"),
        (replaced("reference_power", "1e50"), "reference_power must keep the channel gain, fading included, in"),
        (replaced("beta", "[1e308, 1e308]"), r"acceptance\[0\].beta\[0\] must lie in \[0.001, 1e\+06\], got 1e\+308"),
        (replaced("fixed", "0.06\ntable = []"), r"fixed is not a key of \[cell.verification\]"),
        (replaced("distance", "[" + "0," * 3_000_000 + "]"), "it must have at most 500000 bytes, got"),
        (replaced("distance", "[" * 10_000 + "]" * 10_000), "the text is nested too deeply"),
        (replaced("distance", "[" + "[" * 90 + "]" * 90 + "]"), r"distance must be a pair \[low, high\], got"),
        (replaced("distance", "1" * 5000), "the text is not valid TOML: .*limit"),
        (".".join(["a"] * 50_000) + " = 1", "the text has a key of more than 32 parts"),
        ("[" + ".".join(["a"] * 50_000) + "]", "the text has a key of more than 32 parts"),
        ('"\\u001b[31m" = 1\n' + VALID, "is not a key of a scenario"),
        ("x" * 100_000 + " = 1\n" + VALID, "is not a key of a scenario"),
    ],
    ids=range(15),
)
def test_a_hostile_scenario_is_refused_in_one_short_line(tmp_path, text, message):
    (tmp_path / "cell.toml").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, TypeError), match=message) as refused:
        load_scenario(tmp_path / "cell.toml")
    assert len(str(refused.value)) < 800
    assert str(refused.value).isprintable()


def test_an_empty_name_of_a_table_is_refused():
    text = VALID[: VALID.index("fixed = ")] + "table = []\n" + VALID[VALID.index('batching = "ragged"') :]
    with pytest.raises(ValueError, match=r"cell.verification.table must be one of a100_codellama_34b, .*got \[\]"):
        Scenario.from_toml(text)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "cell.toml").write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_scenario(tmp_path / "cell.toml") == load_scenario("laptops_60ms")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distance=" + "[" * 10_000, "the value of distance is nested too deeply"),
        (".".join(["a"] * 50_000) + "=1", "has more than 32 parts"),
        ("acceptance[" + "9" * 5000 + "].weight=1", "is not a dotted key such as"),
        ("name=" + "x" * 600_000, "the value of name must have at most 500000 characters, got"),
        ("x\x1b[31m=1", "is not a dotted key such as"),
    ],
    ids=range(5),
)
def test_a_hostile_change_is_refused_in_one_short_line(text, message):
    with pytest.raises(ValueError, match=message) as refused:
        change_scenario(load_scenario("laptops_60ms"), read_changes([text]))
    assert len(str(refused.value)) < 800
    assert str(refused.value).isprintable()


def test_a_change_that_holds_two_lines_is_a_text():
    assert read_changes(["name=1\nnum_users = 3"]) == {"name": "1\nnum_users = 3"}


def test_a_table_of_measurements_is_read_as_the_shipped_ones_are(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    found = read_measurements(tmp_path / "table.csv")
    assert found == {name: load_measurement(name) for name in found}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a line of a source, one of names and at least one of numbers"),
        (TABLE.replace("llama2_7b", "llama"), "line 3: llama2_7b must be a number, got None"),
        (TABLE.replace("9.347", "nan"), r"line 3: llama2_7b must lie in \[1e-50, 1e\+50\], got nan"),
        (TABLE.replace("9.347", "-1"), r"line 3: llama2_7b must lie in \[1e-50, 1e\+50\], got -1"),
        (TABLE.replace("9.347", '"'), "is not a table of comma-separated values"),
        (TABLE + "1,1,1,1\n", "num_tokens must strictly increase"),
        (TABLE + "9999,1,1,1\n" * 100_000, "it must have at most 500000 bytes, got"),
    ],
    ids=range(7),
)
def test_a_hostile_table_of_measurements_is_refused_by_line_and_column(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"table\.csv: .*{message}") as refused:
        read_measurements(tmp_path / "table.csv")
    assert len(str(refused.value)) < 800

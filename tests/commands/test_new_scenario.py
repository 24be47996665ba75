"""``multispin new``: a template that holds every key, tells the truth about it, and plays as it is."""

import dataclasses
import re
import tomllib

import gymnasium as gym
import pytest

from multispin_gym import AffineVerification, Cell, Fading, Scenario, TableVerification, load_scenario
from multispin_gym.commands import main
from multispin_gym.commands.new_scenario import template
from multispin_gym.physics.path_loss import PathLoss
from multispin_gym.physics.protocols import PROTOCOLS
from multispin_gym.scenarios import AcceptanceClass, Clock, DeviceClass, Requests, Source

TEXT = template("cell")
TABLES = {
    "": Scenario,
    "cell": Cell,
    "cell.verification": AffineVerification,
    "path_loss": PathLoss,
    "fading": Fading,
    "acceptance": AcceptanceClass,
    "devices": DeviceClass,
    "clock": Clock,
    "clock.requests": Requests,
    "sources": Source,
}
LINE = re.compile(r"(?P<off># )?(?P<key>\w+) = (?P<value>.*?)\s*(?:#(?P<comment>.*))?")


def lines():
    """Table, key, whether it is active, and comment of every assignment in the template."""
    table = ""
    for line in TEXT.splitlines():
        if heading := re.fullmatch(r"(?:# )?\[\[?([\w.]+)\]\]?", line):
            table = heading[1]
        elif found := LINE.fullmatch(line):
            yield table, found["key"], not found["off"], found["comment"] or ""


def test_the_template_is_written_loads_and_plays_as_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "office.toml"]) == 0
    assert "multispin evaluate --scenario office.toml" in capsys.readouterr().out
    assert load_scenario("office.toml").name == "office"
    env = gym.make("multispin_gym/MultiSpin-v0", scenario="office.toml")
    env.reset(seed=0)
    assert env.step(env.action_space.sample())[1] > 0.0
    words = ["--policies", "server_only", "heterogeneous", "--episodes", "3", "--rounds", "3", "--output", "out"]
    assert main(["evaluate", "--scenario", "office.toml", *words]) == 0
    # A template of a cell in which the decision matters.
    assert "Speculation pays here" in capsys.readouterr().out


def test_the_clock_of_the_template_holds_once_it_is_put_in():
    before, _, after = TEXT.partition("# [clock]")
    commented, mark, after = after.partition("# Where the numbers come from")
    text = re.sub(r"(?m)^# (?=\[|\w+ = )", "", f"# [clock]{commented}")
    clock = Scenario.from_toml(f"{before}{text}{mark}{after}").clock
    assert clock.requests.rate == pytest.approx(0.9 * 100.0 / clock.requests.mean_length)
    keys = {key for table, key, *_ in lines() if table == "clock"}
    assert {field.name for field in dataclasses.fields(Clock)} == keys | {"requests"}


def test_every_key_there_is_stands_in_the_template():
    keys = {(table, key) for table, key, *_ in lines()}
    for table, cls in TABLES.items():
        for field in dataclasses.fields(cls):
            if not isinstance(
                getattr(load_scenario("laptops_60ms"), field.name, None), (Cell, PathLoss, Fading, tuple)
            ) or (field.name in ("distance", "transmit_power_dbm")):
                known = {name for where, name in keys if where == table} | {
                    where.rpartition(".")[2] for where in TABLES if where.rpartition(".")[0] == table
                }
                assert field.name in known, f"{table}.{field.name}"
    assert {f.name for f in dataclasses.fields(TableVerification)} <= {k for t, k in keys if t == "cell.verification"}
    assert {"table", "scale"} <= {key for table, key in keys if table == "cell.verification"}
    assert all(protocol in TEXT for protocol in PROTOCOLS)


def test_defaults_in_the_template_are_those_of_the_library():
    said = {}
    for table, key, _, comment in lines():
        fields = {field.name: field.default for field in dataclasses.fields(TABLES[table])}
        if default := re.search(r"; default (\S.*)$", comment):
            value = tomllib.loads(f"x = {default[1]}")["x"]
            if key in fields:
                assert (tuple(value) if isinstance(value, list) else value) == fields[key], f"{table}.{key}"
            said[table, key] = value
    assert said["cell.verification", "scale"] == 1.0
    for table, cls in TABLES.items():
        for field in dataclasses.fields(cls):
            has_default = field.default not in (dataclasses.MISSING, (), None) and not isinstance(field.default, Fading)
            assert has_default == ((table, field.name) in said), f"{table}.{field.name}"


@pytest.mark.parametrize("line", [n for n, line in enumerate(TEXT.splitlines()) if re.match(r"# \w+ = ", line)])
def test_forms_that_are_commented_out_are_toml(line):
    assert tomllib.loads(TEXT.splitlines()[line].removeprefix("# "))


@pytest.mark.parametrize("form", ["num_tokens", "table"])
def test_other_forms_of_the_server_load_when_they_take_the_place_of_the_first(form):
    kept = [line for line in TEXT.splitlines() if not re.match(r"(fixed|per_draft|per_token) =", line)]
    keys = {"num_tokens": "num_tokens|seconds|tail_per_token", "table": "table|scale"}[form]
    text = "\n".join(re.sub(rf"^# (({keys}) = )", r"\1", line) for line in kept)
    assert isinstance(Scenario.from_toml(text).cell.verification, TableVerification)


def test_nothing_is_overwritten_and_no_other_ending_is_taken(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text("mine")
    for name, message in (
        ("mine.toml", "exists already: nothing was written"),
        ("mine.txt", "file must end in .toml"),
        ("mine.toml/deeper.toml", "mine.toml"),
    ):
        assert main(["new", str(tmp_path / name)]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("multispin new: error: ")
        assert printed.count("\n") == 1
        assert message in printed
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]

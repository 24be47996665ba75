"""Scenarios changed key by key: what a file with the new values would give, and errors that name the key."""

import dataclasses

import pytest

from multispin_gym import AffineVerification, load_scenario
from multispin_gym.scenarios import change_scenario
from multispin_gym.scenarios.changes import changed_name, read_changes, read_key

DEFAULT = load_scenario("laptops_60ms")


def test_changes_give_the_scenario_that_replacing_by_hand_gives():
    texts = ["cell.bandwidth=5e6", "cell.power=density", "fading.correlation=0.5", "acceptance[1].weight = 3"]
    texts += ["cell.verification={fixed = 0.1, per_token = 1e-4}", "num_users=3", "name=mine"]
    first, second, third = DEFAULT.acceptance
    by_hand = dataclasses.replace(
        DEFAULT,
        name="mine",
        num_users=3,
        acceptance=[first, dataclasses.replace(second, weight=3.0), third],
        fading=dataclasses.replace(DEFAULT.fading, correlation=0.5),
        cell=dataclasses.replace(
            DEFAULT.cell, bandwidth=5e6, power="density", verification=AffineVerification(0.1, 1e-4)
        ),
    )
    assert change_scenario(DEFAULT, read_changes(texts)) == by_hand


def test_a_changed_scenario_says_so_in_its_name():
    assert change_scenario(DEFAULT, {"num_users": 3, "cell.power": "density"}).name == (
        "laptops_60ms with num_users=3, cell.power=density"
    )
    assert change_scenario(DEFAULT, {}) == DEFAULT


def test_payload_and_devices_are_changed_as_a_file_would_have_them():
    payload = {"protocol": "top_k", "vocabulary_size": 32000, "k": 64}
    assert change_scenario(DEFAULT, {"cell.payload": payload}).cell.payload == 1984.0
    device = {"name": "board", "speeds": [10.0]}
    assert change_scenario(DEFAULT, {"devices[2]": device}).devices[2].speeds == (10.0,)
    assert change_scenario(DEFAULT, {"devices[0].speed_range": [1, 2]}).devices[0].speed_range == (1.0, 2.0)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cell.bandwith=5e6", ValueError, r"^cell\.bandwith is not a key of \[cell\].* Did you mean 'bandwidth'\?"),
        ("cel.bandwidth=5e6", ValueError, r"^cel is not a key of a scenario.* Did you mean 'cell'\?"),
        ("cell.bandwidth=-1", ValueError, r"^cell\.bandwidth must lie in \[1e-50, 1e\+50\], got -1"),
        ("cell.bandwidth=wide", TypeError, r"^cell\.bandwidth must be a number.*got 'wide'"),
        (
            "acceptance[0].rates=[0, 1]",
            ValueError,
            r"^acceptance\[0\]\.rates is not a key of .* Did you mean 'rate'",
        ),
        ("acceptance[7].weight=1", ValueError, r"^acceptance\[7\] does not exist: the scenario has 3 entries"),
        ("cell[0].weight=1", ValueError, r"^cell\[0\] does not exist: the scenario has no such list"),
        ("num_users.x=1", ValueError, r"^num_users\.x does not exist: num_users is 8, not a table"),
        ("cell..x=1", ValueError, r"^cell\.\.x is not a dotted key"),
        ("cell.=1", ValueError, r"^cell\. is not a dotted key"),
        ("cell.bandwidth", ValueError, r"^set must be KEY=VALUE, such as .*; got 'cell\.bandwidth'"),
        ("=3", ValueError, r"^set must be KEY=VALUE"),
        ("num_users=", ValueError, r"^set must be KEY=VALUE"),
    ],
)
def test_a_wrong_change_is_refused_by_its_key(text, error, message):
    with pytest.raises(error, match=message):
        change_scenario(DEFAULT, read_changes([text]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cell.bandwidth", 10e6),
        ("num_users", 8),
        ("acceptance[1].task", "chat"),
        ("distance", [50.0, 150.0]),
        ("distance[1]", 150.0),
        ("cell.bandwith", None),
        ("cell.bandwidth.unit", None),
        ("acceptance[3].task", None),
        ("num_users[0]", None),
    ],
)
def test_a_key_is_read_as_the_file_has_it(key, value):
    assert read_key(DEFAULT, key) == value


def test_the_name_says_what_was_changed_unless_it_is_given():
    assert changed_name(DEFAULT, {}) == "default"
    assert changed_name(DEFAULT, {"cell.power": "density"}) == "default with cell.power=density"
    assert changed_name(DEFAULT, {"cell.power": "density", "name": "mine"}) == "mine"

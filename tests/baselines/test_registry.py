"""The registry: names, options, and rules that get ready for the users they serve."""

import numpy as np
import pytest

from multispin_gym import load_scenario
from multispin_gym.baselines import (
    Controller,
    list_controllers,
    make_controller,
    register_controller,
    unregister_controller,
)
from multispin_gym.baselines.protocols import Detailed, Preparable
from multispin_gym.baselines.uniform import uniform_fixed
from multispin_gym.evaluation import evaluate

SCENARIO = load_scenario("laptops_60ms")


class LengthOfTheStrongest:
    """Equal shares; after a preparation one length for each set of users, by its largest acceptance rate."""

    def __call__(self, users, cell):
        return uniform_fixed(users, cell)

    def prepare(self, users, scenario):
        return Planned(int(users.acceptance_rate.max() * 10.0))


class Planned:
    def __init__(self, length):
        self.details = {"length": np.array(length)}

    def __call__(self, users, cell):
        return uniform_fixed(users, cell, int(self.details["length"]))


def test_a_rule_that_can_be_prepared_is_and_says_what_it_found():
    users = SCENARIO.sample_users(np.random.default_rng(0))
    controller = Controller("mine", "by the strongest", LengthOfTheStrongest())
    assert controller(users, SCENARIO.cell).draft_lengths.tolist() == [4] * 8
    assert dict(controller.details) == {}
    prepared = controller.prepare(users, SCENARIO)
    length = int(users.acceptance_rate.max() * 10.0)
    assert length != 4
    assert (prepared.name, prepared.summary) == ("mine", "by the strongest")
    assert prepared(users, SCENARIO.cell).draft_lengths.tolist() == [length] * 8
    assert int(prepared.details["length"]) == length


@pytest.mark.parametrize("name", list_controllers())
def test_only_the_long_run_policy_plans_ahead(name):
    controller = make_controller(name)
    assert isinstance(controller.rule, Preparable) == (name == "long_run")
    assert not isinstance(controller.rule, Detailed)
    if name != "long_run":
        assert controller.prepare(SCENARIO.sample_users(np.random.default_rng(0)), SCENARIO) is controller


def test_registry_names_its_controllers_from_the_least_informed_to_the_best():
    names = ["server_only", "random", "uniform_fixed", "uniform_best", "tk_slt", "homogeneous"]
    names += ["nested", "nested_polished", "heterogeneous"]
    assert [name for name in list_controllers() if name in names] == names
    for name in list_controllers():
        assert make_controller(name).name == name
        assert make_controller(name).summary


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        (
            "heterogenous",
            {},
            ValueError,
            "controller must be one of .*got 'heterogenous'. Did you mean 'heterogeneous'",
        ),
        ("uniform_fixed", {"draft_lenght": 3}, TypeError, "takes draft_length; got 'draft_lenght'.* Did you mean"),
        ("tk_slt", {"seed": 3}, TypeError, "controller 'tk_slt' takes no options; got 'seed'"),
        (
            "uniform_fixed",
            {"draft_length": 2.5},
            ValueError,
            r"draft_length must be a whole number in \[0, inf\), got 2.5",
        ),
        ("exact", {"time_limit": 0}, ValueError, r"time_limit must lie in \(0, inf\), got 0"),
        ("exact", {"gap": float("nan")}, ValueError, r"gap must lie in \[0, inf\), got nan"),
        ("random", {"seed": -1}, ValueError, r"seed must be a whole number in \[0, inf\), got -1"),
    ],
)
def test_registry_refuses_unknown_names_and_options(name, options, error, message):
    with pytest.raises(error, match=message):
        make_controller(name, **options)


def two_each(users, cell):
    return uniform_fixed(users, cell, 2)


def lengths_of(controller):
    return controller(SCENARIO.sample_users(np.random.default_rng(0)), SCENARIO.cell).draft_lengths.tolist()


@pytest.fixture
def registered():
    """Register controllers for one test."""
    names = []

    def register(name, *arguments):
        register_controller(name, *arguments)
        names.append(name)

    yield register
    for name in names:
        unregister_controller(name)


def test_a_registered_controller_is_one_of_all_and_of_the_evaluation(registered):
    registered("two_each", two_each, "two drafts each")
    assert list_controllers()[-1] == "two_each"
    assert lengths_of(make_controller("two_each")) == [2] * 8
    assert make_controller("two_each").summary == "two drafts each"
    found = evaluate(["two_each"], SCENARIO, 2, episodes=2, rounds=2).policies["two_each"]
    by_hand = evaluate({"mine": two_each}, SCENARIO, 2, episodes=2, rounds=2).policies["mine"]
    assert (found.goodput == by_hand.goodput).all()


def test_a_registered_factory_has_options(registered):
    registered("so_many", lambda length=5: lambda users, cell: uniform_fixed(users, cell, length))
    assert lengths_of(make_controller("so_many")) == [5] * 8
    assert lengths_of(make_controller("so_many", length=3)) == [3] * 8
    with pytest.raises(TypeError, match="takes length; got 'lenght'"):
        make_controller("so_many", lenght=3)
    registered("planned", LengthOfTheStrongest)
    assert isinstance(make_controller("planned").rule, Preparable)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("exact", two_each), ValueError, "the name 'exact' is taken: the certified optimum"),
        (("two/each", two_each), ValueError, "name must be a word without spaces, slashes and colons, got 'two/each'"),
        (("", two_each), ValueError, "name must be a word"),
        (("two", 2), TypeError, "rule_or_factory must be a function, got 2"),
        (("two", lambda users: users), TypeError, r"must take users and cell, or options .* it takes \(users\)"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments, error, message):
    before = list_controllers()
    with pytest.raises(error, match=message):
        register_controller(*arguments)
    assert list_controllers() == before


def test_what_comes_with_the_library_stays():
    with pytest.raises(ValueError, match="controller must be one of"):
        unregister_controller("exact")

"""The registry: names, options, and rules that get ready for the users they serve."""

import numpy as np
import pytest

from multispin_gym import load_scenario
from multispin_gym.baselines import Controller, list_controllers, make_controller
from multispin_gym.baselines.protocols import Detailed, Preparable
from multispin_gym.baselines.uniform import uniform_fixed

SCENARIO = load_scenario("default")


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
    names = ["server_only", "random", "uniform_fixed", "uniform_best", "tk_slt", "homogeneous", "heterogeneous"]
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
        ("random", {"seed": -1}, ValueError, r"seed must be a whole number in \[0, inf\), got -1"),
    ],
)
def test_registry_refuses_unknown_names_and_options(name, options, error, message):
    with pytest.raises(error, match=message):
        make_controller(name, **options)

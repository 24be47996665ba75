"""What a controller decides for a cell does not depend on the cells beside it, to the last bit."""

import numpy as np
import pytest

from multispin_gym import list_scenarios, load_scenario
from multispin_gym.baselines import make_controller, relax


@pytest.mark.slow
@pytest.mark.parametrize("name", list_scenarios(clock=False))
def test_bounds_and_decisions_of_a_cell_are_the_same_alone_and_in_a_batch(name):
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(8), 5, batch=(24,))
    together = relax(users, scenario.cell)
    decisions = make_controller("heterogeneous")(users, scenario.cell)
    for index in range(0, 24, 3):
        alone = relax(users[index], scenario.cell)
        assert alone.upper_bound == together.upper_bound[index]
        assert (alone.draft_lengths == together.draft_lengths[index]).all()
        decision = make_controller("heterogeneous")(users[index], scenario.cell)
        assert (decision.draft_lengths == decisions.draft_lengths[index]).all()
        assert (decision.bandwidth_shares == decisions.bandwidth_shares[index]).all()

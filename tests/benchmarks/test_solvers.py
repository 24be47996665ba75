"""What stands beside the solvers in the benchmarks: the peers are right, and the comparison notices what is wrong."""

import numpy as np
import pytest

from multispin_gym import load_scenario
from multispin_gym.baselines import certify, relax

pytestmark = pytest.mark.slow

CELLS = [("laptops_60ms", 3), ("laptops_60ms_density", 3), ("laptops_60ms", 4)]


@pytest.mark.parametrize(("name", "num_users"), CELLS)
def test_slsqp_with_and_without_derivatives_reaches_the_relaxed_optimum(benchmark, name, num_users):
    peers = benchmark("solver_peers")
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(3), num_users)
    for solver in ("slsqp", "slsqp_numeric", "slsqp_multistart"):
        lengths = getattr(peers, solver)(users, scenario.cell)
        reached = peers.goodputs(users, scenario.cell, lengths[None])[0]
        assert reached == pytest.approx(float(relax(users, scenario.cell).goodput), rel=1e-6)


@pytest.mark.parametrize(("name", "num_users"), CELLS)
def test_derivatives_given_to_slsqp_are_those_of_its_functions(benchmark, name, num_users):
    peers = benchmark("solver_peers")
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(4), num_users)
    problem = peers.Formulation(users, scenario.cell)
    point = problem.start(np.full(num_users, 3.3), np.full(num_users, 0.9 / num_users)) * 1.01
    steps = 1e-6 * np.eye(len(point))
    cost = [(problem.cost(point + step) - problem.cost(point - step)) / 2e-6 for step in steps]
    constraints = [(problem.constraints(point + step) - problem.constraints(point - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(problem.cost_and_gradient(point)[1], cost, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(problem.constraint_gradients(point), np.transpose(constraints), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "num_users"), CELLS)
def test_brute_force_and_differential_evolution_find_the_certified_optimum(benchmark, name, num_users):
    solvers = benchmark("solvers")
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(5), num_users)
    best = float(certify(users, scenario.cell).goodput)
    for solver in ("brute", "evolution"):
        lengths = solvers.WHOLE[solver](users, scenario.cell)
        assert solvers.value(users, scenario.cell, lengths, whole=True) == pytest.approx(best, rel=1e-9)


def test_a_wrong_goodput_and_a_bound_that_is_too_low_are_noticed(benchmark):
    certificates = benchmark("certificates")
    scenario = load_scenario("laptops_60ms")
    row = certificates.compare("laptops_60ms", scenario.sample_users(np.random.default_rng(6), 2), scenario.cell)
    assert certificates.failures([row]) == []
    assert "goodput off" in certificates.failures([{**row, "error": 2e-9}])[0]
    assert "below brute force" in certificates.failures([{**row, "loose_bound": -1e-12}])[0]

"""Settings shared by all tests."""

import pytest
from hypothesis import settings

# The same examples in every run, so that a failure is one for everybody; no deadlines, since CI machines are shared.
settings.register_profile("multispin", deadline=None, derandomize=True, database=None)
settings.load_profile("multispin")


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory):
    """Run directory of an untrained agent for the default scenario, with weights that make it decide variedly."""
    import torch

    from multispin_gym import load_scenario
    from multispin_gym.agents import PolicyConfig
    from multispin_gym.agents.agent import build_network
    from multispin_gym.agents.run_directory import AgentSpec, start_run_directory, write_weights
    from multispin_gym.envs.variants import MULTI_SPIN

    path = tmp_path_factory.mktemp("runs") / "agent"
    spec = AgentSpec(load_scenario("laptops_60ms"), MULTI_SPIN.id, 3, PolicyConfig(width=8, critic_width=8), {}, {})
    network = build_network(spec)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data.normal_(std=0.5, generator=generator)
    start_run_directory(path, spec)
    write_weights(path, network.state_dict())
    return path

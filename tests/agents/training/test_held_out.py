"""What agents are measured on while they train, and training in a new environment."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from delayed_variant import DELAYED

from multispin_gym import load_scenario
from multispin_gym.agents import PPOConfig, TrainConfig, load_agent, train
from multispin_gym.agents.config_sections import PolicyConfig
from multispin_gym.agents.run_directory import AgentSpec
from multispin_gym.agents.training.held_out import HELD_OUT_SEED, HeldOutCells, HeldOutEpisodes, held_out
from multispin_gym.baselines import make_controller
from multispin_gym.envs.registration import register_variant
from multispin_gym.envs.variants import MULTI_SPIN, VARIANTS
from multispin_gym.evaluation import evaluate


@pytest.fixture
def delayed(monkeypatch):
    """The toy environment, as it is and as one whose draws are not known to be exogenous."""
    monkeypatch.setitem(VARIANTS, DELAYED.id, DELAYED)
    register_variant(DELAYED)
    yield DELAYED
    del gym.registry[DELAYED.id]


def spec(env_id, num_users=3, num_rounds=8):
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_rounds=num_rounds)
    return AgentSpec(scenario, env_id, num_users, PolicyConfig(), {}, {})


def middling(observation):
    """Half of the longest drafts, equal shares."""
    rows, users = observation["drafting_speed"].shape
    return np.zeros((rows, 2 * users), dtype=np.float32)


def test_exogenous_draws_are_measured_in_single_rounds_and_others_over_episodes(delayed, monkeypatch):
    assert isinstance(held_out(spec(MULTI_SPIN.id), 4), HeldOutCells)
    assert isinstance(held_out(spec(delayed.id), 4), HeldOutCells)
    monkeypatch.setitem(VARIANTS, delayed.id, dataclasses.replace(delayed, exogenous=False))
    assert isinstance(held_out(spec(delayed.id), 4), HeldOutEpisodes)


@pytest.mark.slow
def test_episodes_are_those_of_the_environment_and_the_reference_is_the_controllers():
    cells = HeldOutEpisodes(spec(MULTI_SPIN.id).scenario, 3, 4, MULTI_SPIN.id)
    goodput = cells.measure(middling)
    assert cells.reference_name == "heterogeneous"
    controller = make_controller("heterogeneous")
    for row in range(4):
        env = gym.make(MULTI_SPIN.id, scenario=spec(MULTI_SPIN.id).scenario, num_users=3).unwrapped
        reached = []
        for decide in (
            lambda seen: middling({key: value[None] for key, value in seen.items()})[0],
            lambda _, env=env: env.encode_action(controller(env.users, env.cell)),
        ):
            observation, _ = env.reset(seed=HELD_OUT_SEED + row)
            tokens, seconds, over = 0.0, 0.0, False
            while not over:
                observation, _, _, over, info = env.step(decide(observation))
                tokens, seconds = tokens + info["tokens"].sum(), seconds + info["latency"]
            reached.append(tokens / seconds)
        assert goodput[row] == pytest.approx(reached[0], rel=1e-12)
        # An action holds shares to 1e-5.
        assert cells.reference[row] == pytest.approx(reached[1], rel=1e-4)
    # Measuring begins anew every time.
    assert (cells.measure(middling) == goodput).all()


@pytest.mark.slow
@pytest.mark.parametrize("exogenous", [True, False])
def test_an_agent_learns_in_a_new_environment_and_is_evaluated_in_both_loops(exogenous, delayed, monkeypatch, tmp_path):
    monkeypatch.setitem(VARIANTS, delayed.id, dataclasses.replace(delayed, exogenous=exogenous))
    config = TrainConfig(
        run_dir=str(tmp_path / "run"),
        env_id=delayed.id,
        num_users=3,
        total_timesteps=40_000,
        eval_every=0,
        eval_cells=32,
        progress=False,
        ppo=PPOConfig(num_envs=128, rollout_steps=4, batch_size=256, learning_rate=1e-2),
    )
    first, last = train(config).evaluations
    assert last["ratio"] > max(0.93, first["ratio"])
    agent = load_agent(config.run_dir)
    assert agent.spec.variant.id == delayed.id
    results = [
        evaluate({"agent": agent}, num_users=3, episodes=4, rounds=6, env_id=delayed.id, loop=loop)
        for loop in (("open", "closed") if exogenous else ("closed",))
    ]
    goodputs = [result.policies["agent"].goodput.tolist() for result in results]
    assert all(goodput == goodputs[0] for goodput in goodputs)
    assert results[0].estimates["agent"]["ratio_to_optimum"].mean > 0.9

"""Share references and the equivariant network."""

import dataclasses

import numpy as np
import pytest
import torch

from multispin_gym import AffineVerification, Cell, TableVerification, Users, list_scenarios
from multispin_gym.agents.agent import Agent, build_network, observe
from multispin_gym.agents.config_sections import PolicyConfig
from multispin_gym.agents.policy.network import EquivariantActorCritic
from multispin_gym.agents.policy.share_references import share_reference
from multispin_gym.agents.policy.torch_physics import CellTerms, finish_together
from multispin_gym.agents.run_directory import AgentSpec
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.envs.observations import OBSERVATION_KEYS, ObservationCodec
from multispin_gym.envs.variants import HOMOGENEOUS, MULTI_SPIN
from multispin_gym.physics.rounds import compute_round
from multispin_gym.scenarios.library import load_scenario

POWER = 0.01
CELL = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4), min_draft_length=0)


def random_observation(rng, batch, num_users):
    return {
        "acceptance_rate": rng.uniform(0.3, 0.95, (batch, num_users)).astype(np.float32),
        "drafting_speed": rng.uniform(20.0, 300.0, (batch, num_users)).astype(np.float32),
        "channel_gain_db": rng.uniform(-130.0, -90.0, (batch, num_users)).astype(np.float32),
    }


def tensors(observation):
    return {key: torch.from_numpy(value) for key, value in observation.items()}


def agent(seed=0, env_id=MULTI_SPIN.id, **policy):
    torch.manual_seed(seed)
    spec = AgentSpec(
        load_scenario("laptops_60ms"), env_id, 4, PolicyConfig(width=16, critic_width=16, **policy), {}, {}
    )
    network = build_network(spec)
    for parameter in network.parameters():
        parameter.data.normal_(std=0.3)
    return Agent("trial", spec, network)


def test_demand_reference_gives_shares_by_what_there_is_to_send():
    observation = tensors(random_observation(np.random.default_rng(2), 4, 3))
    terms = CellTerms(CELL, POWER)(observation)
    lengths = torch.tensor([[1.0, 4.0, 12.0]]).expand(4, 3)
    shares = torch.softmax(share_reference("demand")(terms, CELL, lengths), dim=-1)
    demand = lengths * terms.equal_time
    assert torch.allclose(shares, demand / demand.sum(dim=-1, keepdim=True), rtol=1e-5)
    assert (share_reference("equal")(terms, CELL, lengths) == 0.0).all()
    assert torch.equal(share_reference("equal_finish")(terms, CELL, lengths), finish_together(terms, CELL, lengths))
    with pytest.raises(ValueError, match=r"share_reference must be one of .* Did you mean 'demand'"):
        share_reference("demnd")


@pytest.mark.parametrize("reference", ["equal", "demand", "equal_finish"])
@pytest.mark.parametrize("lengths", ["categorical", "ordinal", "sequential"])
def test_permuting_the_users_permutes_the_decision(reference, lengths):
    trained = agent(share_reference=reference, lengths=lengths)
    observation = random_observation(np.random.default_rng(3), 50, 6)
    order = np.random.default_rng(4).permutation(6)
    action = trained.act(observation).reshape(50, 2, 6)
    permuted = trained.act({key: value[:, order] for key, value in observation.items()}).reshape(50, 2, 6)
    assert np.allclose(permuted, action[:, :, order], atol=1e-4)


def test_permuting_the_users_leaves_value_and_common_length():
    trained = agent(env_id=HOMOGENEOUS.id)
    observation = random_observation(np.random.default_rng(5), 50, 6)
    order = np.random.default_rng(6).permutation(6)
    permuted = {key: value[:, order] for key, value in observation.items()}
    with torch.no_grad():
        values = [trained.network.value(tensors(seen)) for seen in (observation, permuted)]
    assert torch.allclose(values[0], values[1], atol=1e-5)
    assert np.array_equal(trained.act(observation)[:, 0], trained.act(permuted)[:, 0])


@pytest.mark.parametrize("num_users", [1, 2, 7, 40])
def test_one_set_of_weights_acts_for_any_number_of_users_and_any_batch(num_users):
    trained = agent()
    flat = random_observation(np.random.default_rng(7), 6, num_users)
    action = trained.act(flat)
    assert action.shape == (6, 2 * num_users)
    assert action.dtype == np.float32
    assert (np.abs(action) <= 1.0).all()
    nested = trained.act({key: value.reshape(2, 3, num_users) for key, value in flat.items()})
    assert np.array_equal(nested.reshape(6, -1), action)
    single = trained.act({key: value[0] for key, value in flat.items()})
    assert np.allclose(single, action[0], atol=1e-5)


def test_twins_get_equal_decisions():
    observation = {
        key: np.repeat(value, 5, axis=-1) for key, value in random_observation(np.random.default_rng(8), 3, 1).items()
    }
    action = agent().act(observation).reshape(3, 2, 5)
    assert np.allclose(action, action[..., :1], atol=1e-5)


@pytest.mark.parametrize("name", list_scenarios(clock=False))
def test_what_an_agent_observes_of_users_is_what_the_environment_shows_of_them(name):
    scenario = load_scenario(name)
    users = scenario.sample_users(np.random.default_rng(14), 20, batch=(500,))
    observation = observe(users, scenario.reference_power)
    assert tuple(observation) == OBSERVATION_KEYS
    again = ObservationCodec(scenario, 20).users(observation)
    for field in ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power"):
        assert np.array_equal(getattr(again, field), getattr(users, field)), field
    # Only the product of power and gain counts.
    louder = Users(users.acceptance_rate, users.drafting_speed, users.channel_gain / 4.0, 4.0 * users.transmit_power)
    louder = observe(louder, scenario.reference_power)
    assert all(np.array_equal(louder[key], observation[key]) for key in OBSERVATION_KEYS)


def test_acts_like_a_controller_in_its_own_cell_and_in_another():
    trained = agent()
    scenario = trained.spec.scenario
    users = scenario.sample_users(np.random.default_rng(9), 4, batch=(3,))
    observation = observe(users, scenario.reference_power)
    decision = trained(users, scenario.cell)
    layout = trained.network.layout
    index, _ = layout.split(torch.from_numpy(trained.act(observation)))
    assert np.array_equal(decision.draft_lengths, layout.lengths(index, 4).numpy())
    wider = dataclasses.replace(scenario.cell, bandwidth=100.0 * scenario.cell.bandwidth)
    assert not np.array_equal(trained(users, wider).bandwidth_shares, decision.bandwidth_shares)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", ["categorical", "ordinal", "sequential"])
@pytest.mark.parametrize(("low", "high"), [(1, 12), (2, 3), (0, 4), (0, 30), (6, 20)])
def test_where_other_draft_lengths_are_allowed_the_likeliest_that_both_cells_allow_are_chosen(lengths, low, high):
    trained = agent(lengths=lengths)
    for layer in (trained.network.actor.layers[0].own, trained.network.length_head):
        torch.nn.init.normal_(layer.weight, std=1.0)
    scenario = trained.spec.scenario
    users = scenario.sample_users(np.random.default_rng(9), 40, batch=(5,))
    cell = dataclasses.replace(scenario.cell, min_draft_length=low, max_draft_length=high)
    observation = tensors(observe(users, scenario.reference_power))
    elsewhere = trained.in_cell(cell).network.distribution(observation)
    index, _ = elsewhere.layout.split(elsewhere.mode())
    log_probs = elsewhere.draft_lengths.log_probs(index)
    assert log_probs.shape == (5, 40, high - low + 1)
    first, last = max(low, 1), min(high, 12)
    assert torch.allclose(log_probs[..., first - low : last - low + 1].exp().sum(dim=-1), torch.tensor(1.0))
    assert torch.isfinite(elsewhere.log_prob(elsewhere.mode())).all()
    assert torch.isfinite(elsewhere.entropy()).all()
    # The slope among the features depends on the allowed lengths; everything else is the same.
    same = EquivariantActorCritic(trained.in_cell(cell).network.terms, trained.network.layout, trained.spec.policy)
    same.load_state_dict(trained.network.state_dict())
    drawn = same.distribution(observation).draft_lengths
    if lengths == "sequential":
        # What is expected of the others must be a length that the cell allows.
        never = torch.full_like(drawn.logits, -1e9)
        never[..., first - 1 : last] = 0.0
        drawn = dataclasses.replace(drawn, logits=drawn.logits + never)
    expected = drawn.choose(lambda log_probs: log_probs[..., first - 1 : last].argmax(dim=-1) + first - 1) + 1
    assert np.array_equal(trained(users, cell).draft_lengths, expected.numpy())


def test_a_price_on_the_servers_time_makes_lengths_chosen_in_turn_stop_at_a_bend():
    scenario = load_scenario("laptops_60ms")
    bend = TableVerification([1.0, 30.0, 110.0], [0.06, 0.06, 0.54], batching="ragged")
    scenario = dataclasses.replace(scenario, cell=dataclasses.replace(scenario.cell, verification=bend))
    spec = AgentSpec(scenario, MULTI_SPIN.id, 8, PolicyConfig(lengths="sequential"), {}, {})
    torch.manual_seed(11)
    network = build_network(spec)
    # Every user would like more than there is room for, some more than others.
    torch.nn.init.normal_(network.length_head.weight, std=0.3)
    network.length_head.bias.data = 0.5 * torch.arange(12.0)
    observation = tensors(random_observation(np.random.default_rng(12), 100, 8))

    def tokens(price):
        network.turn_head.price.bias.data.fill_(price)
        with torch.no_grad():
            index, _ = network.layout.split(network.distribution(observation).mode())
        return (index + 2).sum(dim=-1)

    assert (tokens(-4.0) > 40).all()
    assert (tokens(5.0) == 30).all()


def test_a_cell_without_any_of_the_lengths_trained_for_is_refused():
    trained = agent()
    cell = dataclasses.replace(trained.spec.scenario.cell, min_draft_length=13, max_draft_length=14)
    with pytest.raises(
        ValueError, match=r"trained for draft lengths in \[1, 12\], none of which the cell allows: \[13, 14\]"
    ):
        trained.in_cell(cell)


def test_extreme_users_give_finite_decisions():
    observation = {
        "acceptance_rate": np.array([[0.0, 1.0, 0.5]], dtype=np.float32),
        "drafting_speed": np.array([[1e-3, 1e6, 50.0]], dtype=np.float32),
        "channel_gain_db": np.array([[-200.0, 0.0, -350.0]], dtype=np.float32),
    }
    for reference in ("equal", "demand", "equal_finish"):
        assert np.isfinite(agent(share_reference=reference).act(observation)).all()


def test_a_bad_observation_is_refused():
    trained = agent()
    observation = random_observation(np.random.default_rng(10), 2, 3)
    with pytest.raises(ValueError, match="the observation lacks drafting_speed"):
        trained.act({key: value for key, value in observation.items() if key != "drafting_speed"})
    with pytest.raises(ValueError, match="must share one shape"):
        trained.act({**observation, "drafting_speed": observation["drafting_speed"][:, :2]})


@pytest.mark.parametrize("scenario", ["laptops_60ms", "paper_qwen35", "deep_fading"])
def test_exact_shares_let_all_drafts_finish_together(scenario):
    scenario = load_scenario(scenario)
    spec = AgentSpec(scenario, MULTI_SPIN.id, 6, PolicyConfig(shares="exact"), {}, {})
    torch.manual_seed(3)
    network = build_network(spec)
    torch.nn.init.normal_(network.length_head.weight, std=1.0)
    torch.nn.init.normal_(network.share_head.weight, std=1.0)
    users = scenario.sample_users(np.random.default_rng(4), 6, batch=(200,))
    agent = Agent("exact", spec, network)
    decision = agent(users, scenario.cell)
    assert len(np.unique(decision.draft_lengths)) >= 3
    played = compute_round(users, scenario.cell, decision)
    curves = ShareCurves.of(users, scenario.cell)
    least = least_deadline(curves, decision.draft_lengths.astype(float))
    np.testing.assert_allclose(played.latency - played.verification_time, least, rtol=2e-3)


def test_exact_shares_leave_no_reference_to_choose():
    with pytest.raises(
        ValueError, match=r"policy\.share_reference must be 'equal_finish' where policy.shares is 'exact'"
    ):
        PolicyConfig(shares="exact", share_reference="equal")
    with pytest.raises(ValueError, match=r"policy\.shares must be one of learned, exact; got 'fixed'"):
        PolicyConfig(shares="fixed")

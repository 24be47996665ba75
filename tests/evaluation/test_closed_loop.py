"""The closed loop: against the open one, and against stepping the environments by hand."""

import json

import gymnasium as gym
import numpy as np
import pytest
from evaluations import MEASURES, WavyAgent, small
from reference import FOR_ANY_CELL

from multispin_gym import Decision
from multispin_gym.envs.variants import HOMOGENEOUS, MULTI_SPIN, VARIANTS
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.report import save

SMALL = small(num_rounds=12)
# Random decisions are drawn in another order where rounds are decided one by one.
SAME = [name for name in FOR_ANY_CELL if name != "random"]


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("env_id", [MULTI_SPIN.id, HOMOGENEOUS.id])
def test_where_draws_are_exogenous_both_loops_give_the_same_numbers_to_the_last_bit(env_id, sampled):
    policies = {**{name: name for name in SAME}, "wavy": WavyAgent(6 if env_id == MULTI_SPIN.id else 4)}
    results = [
        evaluate(policies, SMALL, episodes=4, sampled=sampled, env_id=env_id, loop=loop) for loop in ("open", "closed")
    ]
    for name in policies:
        for measure in MEASURES:
            one, other = (getattr(result.policies[name], measure) for result in results)
            assert one.tolist() == other.tolist(), (name, measure)


@pytest.mark.parametrize("env_id", [row.id for row in VARIANTS.values() if not row.clock])
def test_episodes_that_end_after_a_time_are_those_of_the_environment(env_id):
    agent, scenario, episodes = WavyAgent(6 if env_id == MULTI_SPIN.id else 4), SMALL, 5
    result = evaluate({"wavy": agent}, scenario, episodes=episodes, seed=3, env_id=env_id, max_time=1.0)
    assert (result.loop, result.rounds, result.max_time, result.length) == ("closed", None, 1.0, "1 s")
    for episode in range(episodes):
        env = gym.make(env_id, scenario=scenario, max_time=1.0)
        observation, _ = env.reset(seed=3 + episode)
        rewards, tokens, seconds, over = [], np.zeros(3), 0.0, False
        while not over:
            action = agent.act({key: value[None] for key, value in observation.items()})[0]
            observation, reward, _, over, info = env.step(action)
            rewards.append(reward)
            tokens += info["tokens"]
            seconds += info["latency"]
        found = {measure: getattr(result.policies["wavy"], measure)[episode] for measure in MEASURES}
        assert found["goodput"] == pytest.approx(np.mean(rewards), rel=1e-12)
        assert found["long_run_goodput"] == pytest.approx(tokens.sum() / seconds, rel=1e-12)
        assert found["worst_user_rate"] == pytest.approx(tokens.min() / seconds, rel=1e-12)
        assert seconds >= 1.0 > seconds - info["latency"]


def test_a_time_and_a_number_of_rounds_both_end_episodes():
    short = evaluate(["tk_slt"], SMALL, episodes=3, max_time=100.0, rounds=4)
    plain = evaluate(["tk_slt"], SMALL, episodes=3, rounds=4)
    assert short.length == "4 rounds or 100 s"
    for measure in MEASURES:
        assert (getattr(short.policies["tk_slt"], measure) == getattr(plain.policies["tk_slt"], measure)).all()


@pytest.mark.slow
def test_numbers_of_a_policy_do_not_depend_on_the_others_or_on_how_many_episodes_are_played_at_once(monkeypatch):
    options = {"scenario": SMALL, "episodes": 5, "max_time": 0.8, "sampled": True}
    alone = evaluate(["heterogeneous"], **options)
    monkeypatch.setattr("multispin_gym.evaluation.open_loop.MAX_EPISODES", 2)
    cut = evaluate(["uniform_best", "heterogeneous"], **options)
    for measure in MEASURES:
        one, other = (getattr(result.policies["heterogeneous"], measure) for result in (alone, cut))
        assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.slow
def test_the_long_run_policy_is_prepared_in_the_closed_loop_too():
    open_loop, closed = (
        evaluate(["long_run"], SMALL, episodes=2, loop=loop).policies["long_run"] for loop in ("open", "closed")
    )
    assert (open_loop.goodput == closed.goodput).all()


def test_an_upload_that_never_ends_ends_the_episode():
    def starve(users, cell):
        return Decision(np.full(users.acceptance_rate.shape, 2), np.zeros(3))

    result = evaluate({"starve": starve}, SMALL, episodes=2, max_time=5.0)
    assert result.policies["starve"].long_run_goodput.tolist() == [0.0, 0.0]


def test_one_decision_for_all_rounds_is_enough_in_either_loop():
    fixed = {"fixed": lambda users, cell: Decision([2, 3, 4], [0.2, 0.3, 0.5])}
    one, other = (evaluate(fixed, SMALL, episodes=2, loop=loop).policies["fixed"] for loop in ("open", "closed"))
    assert (one.goodput == other.goodput).all()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (lambda users, cell: Decision([1, 1], 0.5), "policy 'x': the decision is for 2 users"),
        (lambda users, cell: Decision([99, 1, 1], 0.1), r"policy 'x': draft_lengths must lie in \[1, 12\]"),
        (lambda users, cell: Decision(np.ones((7, 3)), 0.1), "policy 'x': the decision's batch shape"),
        (WavyAgent(5), "policy 'x': action must have a last axis of length 6"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(policy, message):
    with pytest.raises(ValueError, match=message):
        evaluate({"x": policy}, SMALL, episodes=2, max_time=1.0)


def test_episodes_that_end_after_a_time_cannot_be_played_open_loop():
    with pytest.raises(ValueError, match="loop must be 'closed' for episodes that end after a time"):
        evaluate(["random"], SMALL, loop="open", max_time=1.0)
    with pytest.raises(ValueError, match=r"max_time must lie in \(0, inf\), got -1.0"):
        evaluate(["random"], SMALL, max_time=-1.0)
    with pytest.raises(ValueError, match=r"loop must be one of open, closed; got 'opened'. Did you mean 'open'"):
        evaluate(["random"], SMALL, loop="opened")


@pytest.mark.slow
def test_progress_counts_the_policies_and_the_files_are_the_same_ones(tmp_path):
    done = []
    result = evaluate(["tk_slt"], SMALL, episodes=2, max_time=0.5, progress=lambda *args: done.append(args))
    # Plain decoding and the rule are played besides.
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert save(result, tmp_path, "command")
    data = json.loads((tmp_path / "results.json").read_text())
    assert (data["loop"], data["max_time"], data["rounds"]) == ("closed", 0.5, None)
    assert {"goodput", "ratio_to_optimum", "long_run_goodput"} <= set(data["policies"]["tk_slt"])
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv", "results.json", "results.png"}


@pytest.mark.slow
def test_the_best_controller_keeps_its_place_when_time_is_what_ends_an_episode():
    result = evaluate(["uniform_best", "heterogeneous"], SMALL, episodes=10, max_time=3.0)
    best, blind = (result.estimates[name]["long_run_goodput"].mean for name in ("heterogeneous", "uniform_best"))
    assert best > 1.1 * blind

"""Policies where time passes: what each is shown, what it may return, and that nothing else changes its numbers."""

import gymnasium as gym
import numpy as np
import pytest
from runner_tasks import three_drafts
from services import DEADLINE, HIDDEN, SERVE, STALE, Waves, busy

import multispin_gym as ms
from multispin_gym.baselines import (
    list_controllers,
    list_estimators,
    make_controller,
    make_estimator,
    register_controller,
    unregister_controller,
)
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.report import to_csv, to_json

SCENARIO = busy(episode_seconds=2.0)
QUICK = {"episodes": 2, "seed": 30, "env_id": SERVE}


def numbers(measures):
    return measures.to_dict()


@pytest.fixture(scope="module")
def alone():
    """Each policy played by itself."""
    policies = {"waves": Waves(7), "fixed": "fixed_bw_l", "mean": "mean_heterogeneous", "mine": three_drafts}
    return policies, {
        name: numbers(evaluate({name: policy}, SCENARIO, **QUICK).policies[name]) for name, policy in policies.items()
    }


def test_what_is_played_beside_a_policy_does_not_change_its_numbers(alone):
    policies, expected = alone
    together = evaluate(
        {**policies, "nested_polished": "nested_polished", "server_only": "server_only"}, SCENARIO, **QUICK
    )
    assert {name: numbers(together.policies[name]) for name in policies} == expected
    # The rivals are played once, and are the same whether asked for or not.
    assert together.nested_polished is together.policies["nested_polished"]
    assert together.server_only is together.policies["server_only"]
    one = evaluate({"server_only": "fixed_bw_l"}, SCENARIO, **QUICK)
    assert numbers(one.server_only) == numbers(together.server_only)
    assert numbers(one.policies["server_only"]) == expected["fixed"]


def test_an_episode_does_not_depend_on_how_many_are_played(alone):
    policies, expected = alone
    for name, policy in policies.items():
        more = numbers(evaluate({name: policy}, SCENARIO, **{**QUICK, "episodes": 3}).policies[name])
        assert {key: values[:2] for key, values in more.items() if key != "times"} == {
            key: values for key, values in expected[name].items() if key != "times"
        }


@pytest.mark.slow
def test_the_runner_does_not_change_the_numbers(alone):
    policies, expected = alone
    spread = evaluate(policies, SCENARIO, **QUICK, runner="processes", jobs=2)
    assert {name: numbers(measures) for name, measures in spread.policies.items()} == expected


def test_an_evaluation_goes_on_from_the_pieces_in_a_folder(alone, tmp_path):
    policies, expected = alone
    steps = []
    for resume in (False, True):
        found = evaluate(
            policies, SCENARIO, **QUICK, folder=tmp_path, resume=resume, progress=lambda *step: steps.append(step)
        )
        assert {name: numbers(measures) for name, measures in found.policies.items()} == expected
    assert steps[-1] == (6, 6)
    # What is named is not played again: only objects are, which may have changed.
    assert len({step for step in steps if step[0] > 0}) <= 6
    other = evaluate(["fixed_bw_l"], SCENARIO, **{**QUICK, "seed": 31}, folder=tmp_path, resume=True)
    assert numbers(other.policies["fixed_bw_l"]) != expected["fixed"]


def test_progress_counts_policies_and_their_rivals():
    steps = []
    evaluate(["fixed_bw_l", "server_only"], SCENARIO, **QUICK, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.slow
def test_workers_know_controllers_that_were_registered_here(tmp_path):
    register_controller("three", three_drafts)
    try:
        local = evaluate(["three"], SCENARIO, **QUICK).policies["three"]
        spread = evaluate(["three"], SCENARIO, **QUICK, runner="processes", jobs=1).policies["three"]
    finally:
        unregister_controller("three")
    assert numbers(local) == numbers(spread)


def test_repetition_gives_the_same_bytes():
    policies = ["random", "mean_proportional_fair", "uniform_best"]
    first, second = (evaluate(policies, SCENARIO, **QUICK, baseline="random") for _ in range(2))
    assert to_json(first, "again") == to_json(second, "again")
    assert to_csv(first) == to_csv(second)


@pytest.mark.parametrize(
    ("name", "env_id", "entries", "changes"),
    [
        ("deadline", DEADLINE, 6, {}),
        ("deadline", DEADLINE, 9, {"admission": True}),
        ("serve", SERVE, 7, {}),
        ("serve", SERVE, 10, {"admission": True}),
        ("stale", STALE, 7, {}),
    ],
)
def test_functions_of_observations_act_as_agents_do(name, env_id, entries, changes):
    scenario, waves = busy(name, episode_seconds=5.0, **changes), Waves(entries)
    policies = {"agent": waves, "function": ms.as_policy(waves.act)}
    result = evaluate(policies, scenario, episodes=3, seed=20, env_id=env_id)
    assert numbers(result.policies["agent"]) == numbers(result.policies["function"])
    assert result.policies["agent"].given_up.any() == scenario.clock.admission
    if scenario.clock.cutoff:
        assert result.policies["agent"].lost.any()
    assert result.clairvoyant == ()


class Diary:
    """An estimating controller that writes down what it is shown."""

    def __init__(self, scenario):
        self.inner, self.pages = make_estimator("mean_heterogeneous", scenario), []

    def reset(self, observation, info, rows=None):
        assert rows is None
        self.inner.reset(observation, info)
        self.pages = [("reset", dict(observation), dict(info))]

    def decide(self, observation, info):
        self.pages.append(("decide", dict(observation), dict(info)))
        return self.inner.decide(observation, info)


def test_an_estimating_controller_is_shown_what_the_environment_shows():
    scenario = busy(episode_seconds=3.0)
    diary = Diary(scenario)
    evaluate({"diary": diary}, scenario, episodes=1, seed=4, env_id=SERVE)
    env = gym.make(SERVE, scenario=scenario)
    observation, info = env.reset(seed=4)
    shown, over = [("reset", observation, info)], False
    estimator = make_estimator("mean_heterogeneous", scenario)
    while not over:
        shown.append(("decide", observation, info))
        decision = estimator.decide({key: value[None] for key, value in observation.items()}, info)
        action = env.unwrapped.encode_action(decision)[0]
        observation, _, _, over, info = env.step(action)
    assert [page[0] for page in diary.pages] == [page[0] for page in shown]
    for (_, seen, known), (_, observation, info) in zip(diary.pages, shown, strict=True):
        assert set(known) == set(info)
        for page, own in ((seen, observation), (known, info)):
            for key, value in own.items():
                # Shares come back from an action within 1e-5.
                np.testing.assert_allclose(page[key][0], value, rtol=1e-4, atol=1e-4, err_msg=key)


def test_a_rule_is_asked_for_those_who_are_present_only():
    asked = []

    def rule(users, cell):
        asked.append((users.present, users.num_users))
        return ms.Decision(np.full(users.acceptance_rate.shape, 3), 1.0 / users.num_users)

    result = evaluate({"mine": rule}, SCENARIO, **QUICK)
    assert {present is None for present, _ in asked} == {True}
    assert len({count for _, count in asked}) > 1
    same = evaluate({"mine": make_controller("uniform_fixed", draft_length=3)}, SCENARIO, **QUICK)
    assert numbers(result.policies["mine"]) == numbers(same.policies["mine"])


def test_a_rule_may_set_a_cut_off():
    def early(users, cell):
        shape = users.acceptance_rate.shape
        return ms.Decision(np.full(shape, 20), 1.0 / users.num_users, cutoff=0.4)

    result = evaluate({"early": early}, SCENARIO, **QUICK)
    assert (result.policies["early"].lost == result.policies["early"].drafted).any()


def test_who_sees_what_the_task_hides_is_called_clairvoyant():
    policies = {name: name for name in [*list_controllers(), *list_estimators()] if name != "long_run"}
    policies |= {"mine": three_drafts, "server_only": three_drafts, "blind": "fixed_bw_l", "waves": Waves(7)}
    result = evaluate(policies, busy(episode_seconds=0.5), episodes=1, env_id=SERVE)
    blind = {"random", "uniform_fixed", "fixed_bw_l", "blind", "waves", *list_estimators()}
    assert set(result.clairvoyant) == policies.keys() - blind
    assert result.label("mine") == "mine (clairvoyant)"
    assert result.label("blind") == "blind"


def test_where_nothing_is_hidden_nobody_is_clairvoyant():
    result = evaluate(["heterogeneous"], busy("deadline", episode_seconds=0.5), 2, 1, env_id=DEADLINE)
    assert result.clairvoyant == ()


class Bad:
    """An agent, a rule or an estimating controller that answers what it is told to."""

    def __init__(self, answer):
        self.answer = answer

    def get(self, *args):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class BadAgent(Bad):
    def act(self, observation):
        return self.get()


class BadRule(Bad):
    def __call__(self, users, cell):
        return self.get()


class BadEstimator(Bad):
    def reset(self, observation, info, rows=None):
        pass

    def decide(self, observation, info):
        return self.get()


def test_giving_requests_up_is_for_tasks_that_leave_it_to_policies():
    choosy = BadEstimator(ms.Decision(np.full(3, 2), np.full(3, 0.1), give_up=[True, False, False]))
    with pytest.raises(ValueError, match="policy 'choosy' gives requests up, which only tasks with admission = true"):
        evaluate({"choosy": choosy}, SCENARIO, **QUICK)
    admitting = evaluate({"choosy": choosy}, busy(episode_seconds=2.0, admission=True), **QUICK).policies["choosy"]
    assert admitting.given_up.all()


NAN = np.array([[0.0] * 7, [0.0] * 6 + [np.nan]])


@pytest.mark.parametrize(
    ("policy", "kind", "message"),
    [
        (BadAgent(np.zeros((2, 6))), ValueError, "policy 'bad': actions must have shape (2, 7), got (2, 6)"),
        (BadAgent(np.zeros((1, 7))), ValueError, "policy 'bad': actions must have shape (2, 7), got (1, 7)"),
        (BadAgent(np.zeros(7)), ValueError, "policy 'bad': actions must have shape (2, 7), got (7,)"),
        (BadAgent(NAN), ValueError, "policy 'bad': actions must lie in [-1, 1], got nan at index (1, 6)"),
        (BadAgent("words"), TypeError, "policy 'bad': actions must be an array of numbers, got "),
        (
            BadAgent(KeyError("channel")),
            ValueError,
            "policy 'bad': 'channel' is not seen here; seen are ",
        ),
        (BadAgent(ValueError("no idea")), ValueError, "policy 'bad': no idea"),
        (BadRule(7), TypeError, "policy 'bad' must return a Decision, got int"),
        (BadRule(ms.Decision([1] * 9, [0.1] * 9)), ValueError, "policy 'bad': the decision is for 9 users, "),
        (BadRule(ms.Decision([99], [1.0])), ValueError, "policy 'bad': draft_lengths must lie in [0, 25]"),
        (
            BadRule(ms.Decision(np.ones((5, 1)), np.ones((5, 1)))),
            ValueError,
            "policy 'bad': the decision's batch shape (5,) does not broadcast with the users' ",
        ),
        (BadRule(TypeError("no idea")), TypeError, "policy 'bad': no idea"),
        (BadEstimator(None), TypeError, "policy 'bad' must return a Decision, got NoneType"),
        (
            BadEstimator(ms.Decision([1], [1.0])),
            ValueError,
            "policy 'bad': the decision is for 1 users, the ",
        ),
        (BadEstimator(KeyError("survival")), ValueError, "policy 'bad': 'survival' is not seen here; seen are "),
        ("long_run", ValueError, "policy 'bad' plans for users who stay, and in multispin_gym/MultiSpinServe-v0 they"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_policy_gets_wrong_is_said_in_one_line_with_its_name(policy, kind, message):
    with pytest.raises(kind) as caught:
        evaluate({"bad": policy}, busy(episode_seconds=2.0), **QUICK)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_error_that_is_not_about_what_is_seen_is_left_alone():
    with pytest.raises(KeyError, match="present"):
        evaluate({"bad": BadAgent(KeyError("present"))}, SCENARIO, **QUICK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"reference": "relaxation"},
            "reference must be left out for multispin_gym/MultiSpinServe-v0: its rounds ",
        ),
        ({"scenario": "default"}, "scenario must have a clock for multispin_gym/MultiSpinServe-v0, got 'paper_qwen35'"),
        ({"loop": "open"}, "loop must be 'closed' for multispin_gym/MultiSpinServe-v0: its draws depend on decisions"),
        ({"baseline": "nobody"}, "baseline must be one of fixed_bw_l; got 'nobody'"),
        ({"max_time": 0.0}, "max_time must lie in "),
        ({"rounds": 0}, "rounds must be a whole number in "),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_played(arguments, message):
    with pytest.raises(ValueError, match=r".") as caught:
        evaluate(["fixed_bw_l"], **{"scenario": SCENARIO, **QUICK, **arguments})
    assert str(caught.value).startswith(message)


def test_estimators_have_nothing_to_estimate_where_no_time_passes():
    with pytest.raises(ValueError, match=r"policy 'mean_heterogeneous' estimates what environments with a clock hide"):
        evaluate(["mean_heterogeneous"], "laptops_60ms", 2, 1, rounds=1)


@pytest.mark.parametrize(("name", "env_id"), [("stale", STALE), ("hidden", HIDDEN)])
def test_where_users_stay_policies_may_plan_for_them(name, env_id):
    scenario = busy(name, episode_seconds=1.0)
    found = evaluate({"plan": make_controller("long_run", samples=16)}, scenario, episodes=1, env_id=env_id)
    assert found.policies["plan"].tokens > 0.0
    assert found.clairvoyant == ("plan",)

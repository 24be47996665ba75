"""Rules for old and noisy reports: what they plan with, their cut-offs, and what they reach."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import make_controller, make_estimator
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.stochastic_programme import StochasticProgramme
from multispin_gym.envs.variants import STALE
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.service.loop import play_service
from multispin_gym.physics.rounds import play_round

IDS = {"stale": "multispin_gym/MultiSpinStale-v0", "serve": "multispin_gym/MultiSpinServe-v0"}
RULES = ("backoff", "channel_quantile", "stochastic_programme")


def played(task, rule, rounds=6, num_envs=6):
    """Observations, info and decisions of some rounds of a rule."""
    envs = gym.make_vec(IDS[task], num_envs=num_envs, vectorization_mode="vector_entry_point").unwrapped
    observation, info = envs.reset(seed=0)
    rule.reset(observation, info)
    for _ in range(rounds):
        decision = rule.decide(observation, info)
        yield observation, info, decision
        observation, _, _, _, info = envs.step(envs.encode_action(decision))


def with_gains(observation, scenario, gain_db):
    return ms.Users(
        observation["acceptance_rate"],
        observation["drafting_speed"],
        scenario.db_to_gain(gain_db),
        scenario.reference_power,
    )


def assert_same(decision, expected, users, cell, factor):
    assert (decision.draft_lengths == expected.draft_lengths).all()
    assert decision.bandwidth_shares == pytest.approx(expected.bandwidth_shares, abs=1e-9)
    outcome = play_round(users, cell, expected)
    assert decision.cutoff == pytest.approx(factor * (outcome.latency - outcome.verification_time), rel=1e-9)


@pytest.mark.parametrize("objective", ["sum", "proportional_fair"])
def test_backoff_plans_with_a_margin_and_cuts_off_behind_the_plan(objective):
    scenario = ms.load_scenario("stale")
    rule = make_estimator("backoff", scenario, decibels=5.0, cutoff=1.3, objective=objective)
    controller = make_controller("heterogeneous", objective=objective)
    for observation, _, decision in played("stale", rule, 3):
        users = with_gains(observation, scenario, observation["reported_channel_gain_db"] - 5.0)
        assert_same(decision, controller(users, scenario.cell), users, scenario.cell, 1.3)


def test_quantiles_plan_with_what_is_believed():
    scenario = ms.load_scenario("stale")
    rule, belief = make_estimator("channel_quantile", scenario, level=0.2, cutoff=1.1), ChannelBelief(scenario)
    for index, (observation, info, decision) in enumerate(played("stale", rule)):
        if index == 0:
            belief.reset(observation, info)
        users = with_gains(observation, scenario, belief.observe(observation, info).quantile_db(0.2))
        assert_same(decision, make_controller("heterogeneous")(users, scenario.cell), users, scenario.cell, 1.1)


def test_where_there_is_no_cutoff_none_is_decided():
    scenario = ms.load_scenario("stale")
    for rule in (
        make_estimator("backoff", scenario, cutoff=np.inf),
        make_estimator(
            "channel_quantile", dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, cutoff=False))
        ),
    ):
        assert all(decision.cutoff is None for _, _, decision in played("stale", rule, 2))


@pytest.mark.parametrize("name", RULES)
def test_rules_decide_for_who_is_present_by_what_is_seen(name):
    """In the task in which all is hidden: users come and go, and rates are believed by the counts."""
    scenario, somebody_absent = ms.load_scenario("serve"), False
    for observation, _, decision in played("serve", make_estimator(name, scenario), 12):
        absent = observation["present"] < 0.5
        somebody_absent |= absent.any()
        assert not decision.draft_lengths[absent].any()
        assert decision.bandwidth_shares[absent] == pytest.approx(0.0, abs=1e-12)
        assert (decision.bandwidth_shares.sum(axis=1) <= 1.0 + 1e-9).all()
        assert (decision.cutoff >= scenario.clock.cutoff_min).all()
        assert (decision.cutoff <= scenario.clock.cutoff_max).all()
    assert somebody_absent


def test_a_round_that_is_looked_at_alone_has_the_price_of_its_own_rate():
    scenario = ms.load_scenario("stale")
    rule = StochasticProgramme(scenario, horizon="round")
    for _ in played("stale", rule, 3):
        rate = rule.expected.tokens.sum(axis=1) / rule.expected.seconds
        assert rule.prices.time == pytest.approx(rate, rel=0.02)


def test_far_ahead_the_price_is_the_rate_of_the_rounds_so_far():
    scenario = ms.load_scenario("stale")
    rule, tokens, seconds = StochasticProgramme(scenario, price=0.9), [], []
    for index, _ in enumerate(played("stale", rule, 5)):
        if index > 0:
            # The first counts as ten.
            weights = np.array([10.0] + [1.0] * (index - 1))[:, None]
            rate = (weights * tokens).sum(axis=0) / (weights * seconds).sum(axis=0)
            assert rule.prices.time == pytest.approx(0.9 * rate, rel=1e-9)
        tokens.append(rule.expected.tokens.sum(axis=1))
        seconds.append(rule.expected.seconds)


def test_fairness_weighs_by_what_everybody_had_so_far():
    scenario = ms.load_scenario("stale")
    rule = StochasticProgramme(scenario, objective="proportional_fair")
    gained = None
    for index, _ in enumerate(played("stale", rule, 4)):
        if index > 0:
            expected = gained.mean(axis=1, keepdims=True) / gained
            assert rule.prices.weight == pytest.approx(expected, rel=1e-9)
        weight = 10.0 + index if index else 1.0
        new = rule.expected.tokens
        gained = new if index == 0 else gained + (new - gained) / weight


def test_weights_of_ones_own_are_taken():
    scenario = ms.load_scenario("stale")
    heavy = np.r_[20.0, np.ones(7)]
    rules = [
        StochasticProgramme(scenario),
        StochasticProgramme(scenario, weights=lambda seen, users: np.tile(heavy, (6, 1))),
    ]
    shares = [
        np.mean([decision.bandwidth_shares[:, 0].mean() for _, _, decision in played("stale", rule, 3)])
        for rule in rules
    ]
    # Longer drafts need not follow: who has most of the band may rather have shorter rounds.
    assert shares[1] > shares[0] + 0.2


def test_episodes_that_begin_anew_are_planned_as_first_ones():
    scenario = ms.load_scenario("stale")
    rule = StochasticProgramme(scenario)
    rounds = list(played("stale", rule, 3))
    observation, info, first = rounds[0]
    new, last = np.arange(6) < 3, rounds[-1]
    observation, info = (
        {
            name: np.where(new.reshape(-1, *[1] * (value.ndim - 1)), value, later[name])
            for name, value in early.items()
            if not name.startswith("_")
        }
        for early, later in ((observation, last[0]), (info, last[1]))
    )
    rule.reset(observation, info, new)
    again = rule.decide(observation, info)
    assert (again.draft_lengths[:3] == first.draft_lengths[:3]).all()
    assert again.cutoff[:3] == pytest.approx(first.cutoff[:3], rel=1e-3)


def test_options_out_of_range_are_refused():
    scenario = ms.load_scenario("stale")
    for name, option, value, message in (
        ("backoff", "decibels", -1.0, r"decibels must lie in \[0, 60\]"),
        ("backoff", "cutoff", 0.0, r"cutoff must lie in \[0.1, 100\]"),
        ("channel_quantile", "level", 1.0, r"level must lie in \[0.001, 0.999\]"),
        ("stochastic_programme", "horizon", "far", "horizon must be one of long_run, round"),
        ("stochastic_programme", "price", 0.0, r"price must lie in \[0.1, 10\]"),
        ("stochastic_programme", "objective", "best", "objective must be one of sum, proportional_fair"),
    ):
        with pytest.raises(ValueError, match=message):
            make_estimator(name, scenario, **{option: value})
    for clock in (None, dataclasses.replace(scenario.clock, cutoff=False)):
        with pytest.raises(ValueError, match=r"clock\.cutoff must be true: without a cut-off no upload is lost"):
            make_estimator("stochastic_programme", dataclasses.replace(scenario, clock=clock))


@pytest.mark.slow
def test_planning_with_what_is_believed_beats_believing_the_reports():
    scenario = ms.load_scenario("stale")
    scenario = dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, episode_seconds=20.0))
    goodput = {
        name: play_service(Player(name, make_estimator(name, scenario)), STALE, scenario, 12, 0).goodput
        for name in ("mean_heterogeneous", *RULES)
    }
    for name in RULES:
        assert goodput[name].mean() > 1.05 * goodput["mean_heterogeneous"].mean()
    assert (goodput["stochastic_programme"] - goodput["backoff"]).mean() > 0.0


def test_nothing_is_drafted_beyond_the_end_of_a_request():
    scenario = ms.load_scenario("serve")
    rule, drafted = StochasticProgramme(scenario), 0
    for observation, info, _ in played("serve", make_estimator("backoff", scenario), 6):
        short = {**observation, "remaining_tokens": np.full_like(observation["remaining_tokens"], 3.0)}
        rule.reset(short, info)
        decision = rule.decide(short, info)
        # Who is not worth a place in the batch may be left out by a draft that cannot be in.
        serious = (observation["present"] > 0.5) & (rule.expected.in_time > 0.3)
        assert (decision.draft_lengths[serious] <= 2).all()
        drafted += int((decision.draft_lengths[serious] == 2).sum())
    assert drafted > 10

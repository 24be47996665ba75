"""Service measured by the evaluation beside ledgers that are kept from single environments, stepped by hand."""

import json

import gymnasium as gym
import numpy as np
import pytest
from services import DEADLINE, HIDDEN, SERVE, STALE, Ledger, Waves, busy

from multispin_gym.baselines import make_controller
from multispin_gym.evaluation import ServiceMeasures, evaluate
from multispin_gym.statistics import jain_index

SUMS = ("return", "tokens", "drafted", "lost", "finished", "on_time", "given_up", "expired", "refused")


@pytest.fixture(scope="module")
def met():
    """An evaluation of an agent that uses all of an action, and the ledgers of its episodes."""
    scenario = busy(admission=True, episode_seconds=6.0)
    result = evaluate({"waves": Waves(10)}, scenario, episodes=6, seed=20, env_id=SERVE)
    return result, [Ledger(SERVE, scenario, 20 + episode, 10) for episode in range(6)]


def test_sums_are_those_of_single_environments_stepped_by_hand(met):
    result, ledgers = met
    found = result.policies["waves"].per_episode()
    for name in SUMS:
        assert found[name].tolist() == [ledger.sums[name] for ledger in ledgers], name
    assert found["seconds"].tolist() == [ledger.seconds for ledger in ledgers]
    assert (found["goodput"] == found["tokens"] / found["seconds"]).all()
    # Everything that is counted happened.
    for name in SUMS:
        assert found[name].sum() > 0.0, name


def test_times_and_rates_of_requests_are_those_of_the_ledgers(met):
    result, ledgers = met
    measures = result.policies["waves"]
    for episode, ledger in enumerate(ledgers):
        # Observations are of single precision.
        for name, times in (("time_to_first_token", ledger.first), ("time_per_token", ledger.each)):
            assert sorted(measures.times[name][episode]) == pytest.approx(sorted(times), abs=1e-5)
        assert measures.worst_user_rate[episode] == pytest.approx(ledger.fairness[0], rel=1e-5)
        assert measures.jain_index[episode] == pytest.approx(ledger.fairness[1], rel=1e-5)


def test_a_request_of_one_token_has_no_time_per_token(met):
    result, ledgers = met
    measures = result.policies["waves"]
    lengths = [len(part) for part in measures.times["time_per_token"]]
    assert lengths == [len(ledger.each) for ledger in ledgers]
    assert sum(lengths) <= measures.finished.sum() == sum(map(len, measures.times["time_to_first_token"]))


def test_aggregates_are_means_and_shares_and_quantiles_of_all(met):
    result, ledgers = met
    found = {name: estimate.mean for name, estimate in result.estimates["waves"].items()}
    total = {name: sum(ledger.sums[name] for ledger in ledgers) for name in SUMS}
    ended = total["finished"] + total["given_up"] + total["expired"] + total["refused"]
    assert found["return"] == pytest.approx(total["return"] / 6)
    assert found["goodput"] == pytest.approx(np.mean([ledger.sums["tokens"] / ledger.seconds for ledger in ledgers]))
    assert found["long_run_goodput"] == found["goodput"]
    assert found["on_time"] == pytest.approx(total["on_time"] / ended)
    assert found["dropped"] == pytest.approx((total["given_up"] + total["expired"]) / ended)
    assert found["refused"] == pytest.approx(total["refused"] / ended)
    assert found["lost"] == pytest.approx(total["lost"] / total["drafted"])
    assert found["worst_user_rate"] == pytest.approx(np.mean([ledger.fairness[0] for ledger in ledgers]), rel=1e-5)
    for name, parts in (("time_to_first_token", "first"), ("time_per_token", "each")):
        pooled = np.concatenate([getattr(ledger, parts) for ledger in ledgers])
        for level in (50, 95, 99):
            expected = np.quantile(pooled, level / 100, method="inverted_cdf")
            assert found[f"{name}_p{level}"] == pytest.approx(expected, abs=1e-5)


def test_comparisons_are_of_sums_with_plain_decoding_the_rule_and_the_baseline():
    result = evaluate(
        ["uniform_best", "fixed_bw_l"], busy(episode_seconds=4.0), episodes=3, env_id=SERVE, baseline="fixed_bw_l"
    )
    mine = result.policies["uniform_best"]
    found = {name: estimate.mean for name, estimate in result.estimates["uniform_best"].items()}
    plain, rule, rival = result.server_only, result.nested_polished, result.policies["fixed_bw_l"]
    assert found["gain_over_server_only"] == pytest.approx(mine.goodput.sum() / plain.goodput.sum() - 1.0)
    assert found["regret_to_nested_polished"] == pytest.approx(1.0 - mine.goodput.sum() / rule.goodput.sum())
    assert found["gain_over_baseline"] == pytest.approx(mine.returns.sum() / rival.returns.sum() - 1.0)


def test_where_users_stay_worst_rate_and_jain_are_of_their_tokens():
    scenario = busy("stale", episode_seconds=3.0)
    users = np.zeros((2, 3))
    result = evaluate(["fixed_bw_l"], scenario, episodes=2, seed=5, env_id=STALE)
    seconds = []
    for episode in range(2):
        env = gym.make(STALE, scenario=scenario)
        env.reset(seed=5 + episode)
        over = False
        while not over:
            decision = make_controller("fixed_bw_l")(env.unwrapped.users, env.unwrapped.cell)
            *_, over, info = env.step(env.unwrapped.encode_action(decision))
            users[episode] += info["tokens"]
        seconds.append(float(info["time"]))
    measures = result.policies["fixed_bw_l"]
    assert measures.seconds == pytest.approx(seconds, rel=1e-4)
    assert measures.worst_user_rate == pytest.approx(users.min(axis=1) / seconds, rel=1e-4)
    assert measures.jain_index == pytest.approx(jain_index(users), rel=1e-9)
    assert "on_time" not in result.estimates["fixed_bw_l"]
    assert "time_per_token_p50" not in result.estimates["fixed_bw_l"]


def test_a_finished_request_that_is_replaced_at_once_is_counted():
    scenario = busy("hidden", episode_seconds=5.0)
    measures = evaluate(["server_only"], scenario, episodes=2, env_id=HIDDEN).policies["server_only"]
    assert (measures.finished > 0.0).all()
    assert not (measures.expired + measures.given_up + measures.refused).any()
    # Without deadlines whatever ends is on time.
    assert (measures.on_time == measures.finished).all()


@pytest.mark.parametrize("limits", [{"rounds": 7}, {"rounds": 7, "max_time": 100.0}, {"max_time": 2.0}, {}])
def test_episodes_end_by_rounds_by_time_or_by_what_comes_first(limits):
    scenario = busy("deadline", episode_seconds=3.0)
    result = evaluate({"waves": Waves(6)}, scenario, episodes=3, seed=8, env_id=DEADLINE, **limits)
    seconds = limits.get("max_time", None if "rounds" in limits else 3.0)
    assert (result.rounds, result.max_time) == (limits.get("rounds"), seconds)
    arguments = {"num_rounds": limits.get("rounds"), "episode_seconds": seconds}
    for episode in range(3):
        ledger = Ledger(DEADLINE, scenario, 8 + episode, 6, **arguments)
        assert result.policies["waves"].tokens[episode] == ledger.sums["tokens"]
        assert result.policies["waves"].seconds[episode] == ledger.seconds
        assert ledger.rounds == limits.get("rounds", ledger.rounds)


def test_without_an_end_in_the_scenario_its_rounds_are_the_end():
    scenario = busy("stale", episode_seconds=None)
    result = evaluate(["server_only"], scenario, episodes=2, env_id=STALE)
    assert (result.rounds, result.max_time, result.length) == (100, None, "100 rounds")
    assert "2 episodes of 100 rounds" in str(result)


def test_expected_tokens_are_replaced_by_sampled_ones_where_asked_for():
    scenario = busy("stale", episode_seconds=2.0, sampled=False)
    expected, sampled = (
        evaluate(["fixed_bw_l"], scenario, episodes=2, env_id=STALE, sampled=sampled) for sampled in (False, True)
    )
    assert (expected.sampled, sampled.sampled) == (False, True)
    assert (expected.policies["fixed_bw_l"].tokens % 1.0 > 0.0).any()
    assert (sampled.policies["fixed_bw_l"].tokens % 1.0 == 0.0).all()


def test_measures_survive_their_json_and_say_what_they_are(met):
    measures = met[0].policies["waves"]
    back = ServiceMeasures.from_dict(json.loads(json.dumps(measures.to_dict())))
    for name, values in measures.per_episode().items():
        assert back.per_episode()[name].tolist() == values.tolist()
    for name, parts in measures.times.items():
        assert [part.tolist() for part in back.times[name]] == [part.tolist() for part in parts]
    assert repr(measures).startswith("<ServiceMeasures of 6 episodes, means: return ")

"""The evaluation: against numbers worked out by hand, and against stepping the environments themselves."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from evaluations import MEASURES, WavyAgent, fixed_drafts, small
from reference import FOR_ANY_CELL

import multispin_gym.evaluation.plan
from multispin_gym import AffineVerification, Cell, Decision, Users, play_round
from multispin_gym.baselines import make_controller, relax
from multispin_gym.baselines.reference import Reference
from multispin_gym.envs.variants import HOMOGENEOUS, MULTI_SPIN, VARIANTS
from multispin_gym.evaluation import ReferenceExceededError, evaluate
from multispin_gym.evaluation.open_loop import Block, play_blocks
from multispin_gym.evaluation.plan import play_block
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.tally import Tally

# One bit/s per Hz and token times of tenths of a second: every number can be worked out by hand.
EASY_CELL = Cell(
    bandwidth=1e4,
    noise_psd=1.0,
    payload=1000.0,
    verification=AffineVerification(fixed=0.1, per_token=0.0),
    power="density",
    min_draft_length=1,
    max_draft_length=4,
)


def easy_block(decide, **changes):
    users = Users(np.broadcast_to([0.5, 0.0], (2, 1, 2)), 10.0, 1.0, 1e4)
    return Block(
        **{
            "cell": EASY_CELL,
            "users": users,
            "observations": {"round": np.array([[[0.0]], [[1.0]]])},
            "uniforms": None,
            "decode_action": decide,
            "episodes": slice(0, 1),
            "start": 0,
            "mean_users": users[0],
            **changes,
        }
    )


class RoundReader:
    """Passes the number of the round on as its action."""

    def act(self, observation):
        return observation["round"]


def drafts_of_round(action):
    return Decision(np.where(action == 0.0, [[1, 1]], [[2, 1]]), 0.5)


def played(tally, bounds, *, policy=None, reference="certificate", **changes):
    """Add the two easy rounds to a tally."""
    player = Player("agent", RoundReader() if policy is None else policy)
    block = easy_block(drafts_of_round, **changes)
    play_block(player, tally, block, np.array(bounds), Reference(reference))
    return tally


def test_measures_of_two_rounds_worked_out_by_hand():
    result = played(Tally(1, 2), [[10.0], [5.0]]).result()
    # Round 1: 1.5 + 1 tokens in 0.1 + 0.2 + 0.1 s. Round 2: 1.75 + 1 tokens in 0.2 + 0.4 + 0.1 s.
    goodput = (2.5 / 0.4 + 2.75 / 0.7) / 2
    assert result.goodput == pytest.approx([goodput])
    assert result.ratio_to_optimum == pytest.approx([goodput / 7.5])
    assert result.long_run_goodput == pytest.approx([5.25 / 1.1])
    assert result.jain_index == pytest.approx([5.25**2 / (2 * (3.25**2 + 2.0**2))])
    assert result.worst_user_rate == pytest.approx([2.0 / 1.1])
    assert result.alarm is None


def test_sampled_measures_worked_out_by_hand():
    uniforms = np.array([[[0.3, 0.9]], [[0.2, 0.9]]])
    tally = played(Tally(1, 2), [[10.0], [5.0]], uniforms=uniforms)
    # The first user has one draft accepted in round 1 (0.3 < 0.5), two in round 2 (0.2 < 0.25).
    assert tally.result().long_run_goodput == pytest.approx([(2 + 1 + 3 + 1) / 1.1])


def test_alarm_names_the_worst_round_above_the_bound():
    tally = played(Tally(1, 2), [[6.0], [3.0]])
    alarm = tally.result().alarm
    assert (alarm.rounds, alarm.episode, alarm.round) == (2, 0, 1)
    assert (alarm.goodput, alarm.bound) == (pytest.approx(2.75 / 0.7), 3.0)
    played(tally, [[10.0], [1.0]], start=2)
    assert str(tally.result().alarm).startswith("3 round(s) above the reference, worst in episode 0, round 3")


def test_a_bound_for_common_lengths_says_nothing_of_other_decisions():
    tally = played(Tally(1, 2), [[10.0], [1.0]], reference="homogeneous")
    assert tally.result().alarm is None
    assert played(tally, [[1.0], [1.0]], reference="homogeneous").result().alarm.rounds == 1


def test_rounding_is_no_alarm_and_opting_out_where_it_is_not_allowed_neither():
    for length, bound in ((1, 6.25 * (1 - 1e-12)), (0, 1.0)):
        tally = played(Tally(1, 2), [[bound], [bound]], policy=fixed_drafts(length))
        assert tally.result().alarm is None


def test_rounds_after_an_episode_has_ended_do_not_count():
    cut = played(Tally(1, 2), [[10.0], [1.0]], played=np.array([[True], [False]])).result()
    # Round 1 alone: 2.5 tokens in 0.4 s; the bound of round 2 is not passed by a round that is not played.
    assert cut.goodput == pytest.approx([2.5 / 0.4])
    assert cut.ratio_to_optimum == pytest.approx([0.625])
    assert cut.long_run_goodput == pytest.approx([2.5 / 0.4])
    assert cut.alarm is None


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [row.id for row in VARIANTS.values() if not row.clock])
@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("name", ["laptops_60ms", "deep_fading"])
def test_an_agent_has_what_it_is_rewarded_with_in_the_environment_bit_for_bit(env_id, sampled, name):
    scenario, episodes, seed = small(name), 5, 40
    agent = WavyAgent(6 if env_id == MULTI_SPIN.id else 4)
    result = evaluate({"wavy": agent}, scenario, episodes=episodes, seed=seed, sampled=sampled, env_id=env_id)
    envs = gym.make_vec(
        env_id, num_envs=episodes, vectorization_mode="vector_entry_point", scenario=scenario, sampled=sampled
    )
    observation, _ = envs.reset(seed=seed)
    rewards, tokens, latencies = [], 0.0, 0.0
    for _ in range(scenario.num_rounds):
        observation, reward, _, truncated, info = envs.step(agent.act(observation))
        rewards.append(reward)
        tokens, latencies = tokens + info["tokens"], latencies + info["latency"]
    assert truncated.all()
    assert (result.policies["wavy"].goodput == np.stack(rewards).sum(axis=0) / scenario.num_rounds).all()
    assert result.policies["wavy"].long_run_goodput == pytest.approx(tokens.sum(axis=-1) / latencies, rel=1e-13)
    assert result.policies["wavy"].worst_user_rate == pytest.approx(tokens.min(axis=-1) / latencies, rel=1e-13)


@pytest.mark.slow
def test_a_controller_sees_the_users_of_single_environments_and_is_scored_on_them():
    scenario = small()
    result = evaluate(["heterogeneous"], scenario, episodes=3, seed=9, reference="relaxation")
    for episode in range(3):
        env = gym.make(MULTI_SPIN.id, scenario=scenario)
        env.reset(seed=9 + episode)
        goodput, bound = [], []
        for _ in range(scenario.num_rounds):
            users, cell = env.unwrapped.users, env.unwrapped.cell
            goodput.append(play_round(users, cell, make_controller("heterogeneous")(users, cell)).goodput)
            bound.append(relax(users, cell).upper_bound)
            env.step(env.action_space.sample())
        assert result.policies["heterogeneous"].goodput[episode] == pytest.approx(np.mean(goodput), rel=1e-9)
        assert result.reference_goodput[episode] == pytest.approx(np.mean(bound), rel=1e-9)
        ratio = result.policies["heterogeneous"].ratio_to_optimum[episode]
        assert ratio == pytest.approx(np.mean(goodput) / np.mean(bound), rel=1e-9)


def test_all_policies_are_shown_the_same_rounds():
    seen = {"a": [], "b": []}

    def watch(name, length):
        def controller(users, cell):
            seen[name].append(users)
            return fixed_drafts(length)(users, cell)

        return controller

    evaluate({"a": watch("a", 1), "b": watch("b", 9)}, small(), episodes=4)
    assert len(seen["a"]) == len(seen["b"]) == 1
    for field in ("acceptance_rate", "drafting_speed", "channel_gain"):
        first = getattr(seen["a"][0], field)
        assert first.shape == (7, 4, 3)
        assert (first == getattr(seen["b"][0], field)).all()


@pytest.mark.slow
@pytest.mark.parametrize("sampled", [False, True])
def test_a_policy_has_the_same_numbers_whatever_is_played_beside_it(sampled):
    alone = evaluate(["random"], small(), episodes=6, sampled=sampled)
    beside = evaluate(["uniform_best", "random", "heterogeneous"], small(), episodes=6, sampled=sampled)
    for measure in MEASURES:
        assert (getattr(alone.policies["random"], measure) == getattr(beside.policies["random"], measure)).all()
    assert alone.estimates["random"] == beside.estimates["random"]


@pytest.mark.slow
def test_sampled_goodput_of_the_same_decisions_scatters_about_the_expected():
    expected = evaluate({"four": fixed_drafts(4)}, small(num_rounds=50), episodes=60)
    sampled = evaluate({"four": fixed_drafts(4)}, small(num_rounds=50), episodes=60, sampled=True)
    excess = sampled.policies["four"].goodput / expected.policies["four"].goodput - 1.0
    assert abs(excess.mean()) < 4.0 * excess.std() / np.sqrt(60)
    assert 0.0 < excess.std() < 0.2


@pytest.mark.parametrize("sampled", [False, True])
def test_rounds_do_not_depend_on_how_they_are_cut_into_blocks(sampled):
    scenario = small(num_rounds=11, fading=dataclasses.replace(small().fading, correlation=0.9))
    whole = list(play_blocks(MULTI_SPIN, scenario, 5, 3, sampled=sampled))
    assert len(whole) == 1
    for block_users in (1, 12, 20, 100):
        blocks = list(play_blocks(MULTI_SPIN, scenario, 5, 3, sampled=sampled, block_users=block_users))
        assert len(blocks) > 1
        assert max(block.users.acceptance_rate.size for block in blocks) <= max(block_users, 3)
        covered = np.zeros((11, 5), dtype=int)
        for block in blocks:
            rounds = slice(block.start, block.start + block.users.batch_shape[0])
            covered[rounds, block.episodes] += 1
            assert (block.users.channel_gain == whole[0].users.channel_gain[rounds, block.episodes]).all()
            assert (block.users.acceptance_rate == whole[0].users.acceptance_rate[rounds, block.episodes]).all()
            for key, values in block.observations.items():
                assert (values == whole[0].observations[key][rounds, block.episodes]).all()
            if sampled:
                assert (block.uniforms == whole[0].uniforms[rounds, block.episodes]).all()
        assert (covered == 1).all()


@pytest.mark.slow
def test_measures_do_not_depend_on_the_blocks(monkeypatch):
    whole = evaluate(["uniform_best"], small(), episodes=5)
    monkeypatch.setattr(
        multispin_gym.evaluation.plan,
        "play_blocks",
        lambda *args, **options: play_blocks(*args, block_users=6, **options),
    )
    done = []
    cut = evaluate(["uniform_best"], small(), episodes=5, progress=lambda *args: done.append(args))
    for measure in MEASURES:
        values = getattr(cut.policies["uniform_best"], measure)
        assert values == pytest.approx(getattr(whole.policies["uniform_best"], measure), rel=1e-12)
    # Blocks of 2 rounds of 2 episodes at most; plain decoding and the rule are played besides.
    assert done[-1] == (105, 105)
    assert len(done) > 10
    assert all(total == 105 for _, total in done)


@pytest.mark.slow
def test_ratios_order_the_controllers_and_stay_below_one():
    names = [name for name in FOR_ANY_CELL if name != "server_only"]
    result = evaluate(names, "laptops_60ms", 5, episodes=8, rounds=10)
    ratio = {name: estimates["ratio_to_optimum"].mean for name, estimates in result.estimates.items()}
    assert max(ratio.values()) <= 1.0
    assert ratio["random"] < ratio["uniform_best"] < ratio["homogeneous"] < ratio["heterogeneous"]
    assert ratio["heterogeneous"] > 0.97
    assert (result.num_users, result.rounds, result.scenario) == (5, 10, "laptops_60ms")


def test_the_certified_optimum_is_reached_by_exact_alone_and_lies_below_the_relaxation():
    scenario = small("laptops_60ms_density", num_users=4)
    names = ["exact", "heterogeneous", "homogeneous"]
    certified = evaluate(names, scenario, episodes=4)
    relaxed = evaluate(names, scenario, episodes=4, reference="relaxation")
    assert (certified.reference, relaxed.reference) == ("certificate", "relaxation")
    assert certified.policies["exact"].ratio_to_optimum == pytest.approx(np.ones(4), abs=1e-6)
    assert (certified.policies["heterogeneous"].ratio_to_optimum <= 1.0).all()
    assert (certified.policies["homogeneous"].ratio_to_optimum < 0.995).all()
    assert (certified.reference_goodput <= relaxed.reference_goodput * (1.0 + 1e-6)).all()
    assert relaxed.policies["exact"].ratio_to_optimum.max() < 1.0


def test_many_users_are_measured_by_the_relaxation():
    assert evaluate(["uniform_best"], "laptops_60ms", 13, episodes=1, rounds=1).reference == "relaxation"


def test_server_only_is_played_in_every_cell_and_has_its_closed_form():
    scenario = small()
    result = evaluate(["server_only"], scenario, episodes=2)
    seconds = float(scenario.cell.verification.round_time(np.zeros(3)))
    for played in (result.policies["server_only"], result.server_only):
        assert played.goodput == pytest.approx([3.0 / seconds] * 2)
        assert played.long_run_goodput == pytest.approx([3.0 / seconds] * 2)
        assert played.jain_index.tolist() == [1.0, 1.0]
    assert result.speculation() == "Only server_only was played: nothing says whether speculation pays."


def slow_server(scenario, seconds):
    return dataclasses.replace(
        scenario, cell=dataclasses.replace(scenario.cell, verification=AffineVerification(seconds, 0.0))
    )


@pytest.mark.slow
def test_words_say_whether_speculation_pays():
    names = ["uniform_best", "heterogeneous"]
    slow = evaluate(names, slow_server(small(), 1.0), episodes=10)
    assert slow.speculation().startswith("Speculation pays here: heterogeneous has +")
    fast = evaluate(names, slow_server(small(), 1e-3), episodes=10)
    assert fast.speculation().startswith("Speculation does not pay here: heterogeneous has -")
    assert "server_only has more goodput than the reference" in fast.speculation()
    assert fast.server_only_estimates["ratio_to_optimum"].mean > 1.0
    one = evaluate(names, slow_server(small(), 1.0), episodes=1)
    assert "seems to pay" in one.speculation()
    assert "one episode only" in one.speculation()
    assert "does not seem to pay" in evaluate(names, slow_server(small(), 1e-3), episodes=1).speculation()


def test_words_say_when_speculation_makes_no_difference():
    result = evaluate({"plain": make_controller("server_only")}, small(), episodes=4)
    assert "does not pay" in result.speculation()
    spread = dataclasses.replace(
        result,
        policies={
            "plain": dataclasses.replace(result.server_only, goodput=result.server_only.goodput * [1.2, 0.9, 1.1, 0.85])
        },
    )
    assert "is on a par with plain decoding" in spread.speculation()


def test_gains_are_paired_and_relative():
    result = evaluate(["uniform_best", "heterogeneous"], small(), episodes=20, baseline="uniform_best")
    best, mine = (result.policies[name].goodput.mean() for name in ("uniform_best", "heterogeneous"))
    gain = result.estimates["heterogeneous"]["gain_over_baseline"]
    assert gain.mean == pytest.approx(mine / best - 1.0)
    assert 0.0 < gain.ci95[0] < gain.mean < gain.ci95[1]
    assert result.estimates["uniform_best"]["gain_over_baseline"].ci95 == (0.0, 0.0)
    plain = result.server_only.goodput.mean()
    assert result.estimates["heterogeneous"]["gain_over_server_only"].mean == pytest.approx(mine / plain - 1.0)


def test_in_the_homogeneous_environment_the_reference_is_the_best_common_length():
    result = evaluate(["homogeneous", "heterogeneous", "uniform_best"], small(), episodes=4, env_id=HOMOGENEOUS.id)
    assert result.reference == "homogeneous"
    assert result.policies["homogeneous"].ratio_to_optimum == pytest.approx(np.ones(4), rel=1e-12)
    assert (result.policies["heterogeneous"].ratio_to_optimum >= 1.0 - 1e-12).all()
    assert (result.policies["uniform_best"].ratio_to_optimum < 1.0).all()


def test_an_agent_of_either_environment_can_be_played_in_the_other():
    agents = {"own lengths": WavyAgent(6), "common length": WavyAgent(4)}
    here = evaluate(agents, small(), episodes=3)
    there = evaluate(agents, small(), episodes=3, env_id=HOMOGENEOUS.id)
    for name in agents:
        assert (here.policies[name].goodput == there.policies[name].goodput).all()


@pytest.mark.slow
def test_the_long_run_policy_is_prepared_for_each_set_of_users_and_wins_by_its_own_measure(monkeypatch):
    names = ["heterogeneous", "long_run"]
    result = evaluate(names, "deep_fading", 4, episodes=6, rounds=150, seed=3)
    greedy, patient = (result.estimates[name] for name in names)
    assert patient["long_run_goodput"].mean > greedy["long_run_goodput"].mean
    assert patient["goodput"].mean < greedy["goodput"].mean
    # Prepared a few episodes at a time, each set of users keeps its own price of time.
    monkeypatch.setattr("multispin_gym.evaluation.open_loop.MAX_EPISODES", 2)
    again = evaluate(names, "deep_fading", 4, episodes=6, rounds=150, seed=3)
    assert again.policies["long_run"].goodput == pytest.approx(result.policies["long_run"].goodput, rel=1e-3)


def test_users_are_prepared_for_with_their_mean_gains():
    scenario = small(num_users=2, num_rounds=4000)
    block = next(play_blocks(MULTI_SPIN, scenario, 2, 3, sampled=False))
    mean = block.users.channel_gain.mean(axis=0)
    # An exponential law's mean of 4,000 draws is right to 1.6 %.
    assert block.mean_users.channel_gain == pytest.approx(mean, rel=0.08)
    assert (block.mean_users.acceptance_rate == block.users.acceptance_rate[0]).all()


def test_uploads_that_never_end_count_as_nothing():
    def starve(users, cell):
        return Decision(np.full(users.acceptance_rate.shape, 2), np.zeros(3))

    result = evaluate({"starve": starve}, small(), episodes=2)
    policy = result.policies["starve"]
    assert policy.goodput.tolist() == policy.long_run_goodput.tolist() == policy.worst_user_rate.tolist() == [0.0, 0.0]
    assert result.estimates["starve"]["gain_over_server_only"].mean == -1.0


def test_a_goodput_above_the_bound_raises_an_alarm_that_holds_the_result(monkeypatch):
    honest = Reference.goodput
    monkeypatch.setattr(Reference, "goodput", lambda *args: 0.5 * honest(*args))
    with pytest.raises(
        ReferenceExceededError, match=r"above the certificate reference.*heterogeneous: 21 round"
    ) as caught:
        evaluate(["heterogeneous", "random"], small(), episodes=3)
    assert caught.value.result.alarms["heterogeneous"].rounds == 21
    assert "heterogeneous" in caught.value.result.to_dict()["alarms"]


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, "policies must name at least one policy", {"policies": []}),
        (ValueError, "policies must each be named once, got 'random' 2 times", {"policies": ["random", "random"]}),
        (ValueError, "got 'heterogenous'. Did you mean 'heterogeneous'?", {"policies": "heterogenous"}),
        (TypeError, "policies must be names, or a mapping", {"policies": [fixed_drafts(1)]}),
        (TypeError, "policy 'x' must be a name, a callable of users and cell, or an agent", {"policies": {"x": 3}}),
        (TypeError, "policy 'x' must return a Decision, got int", {"policies": {"x": lambda users, cell: 3}}),
        (
            ValueError,
            "policy 'x': the decision is for 2 users",
            {"policies": {"x": lambda u, c: Decision([1, 1], 0.5)}},
        ),
        (ValueError, r"policy 'x': draft_lengths must lie in \[1, 12\]", {"policies": {"x": fixed_drafts(99)}}),
        (ValueError, "policy 'x': action must have a last axis of length 6", {"policies": {"x": WavyAgent(5)}}),
        (
            ValueError,
            r"policy 'x' decided for a batch of shape \(2, 7, 2\), the rounds have the shape \(7, 2\)",
            {"policies": {"x": lambda users, cell: Decision(np.ones((2, 1, 1, 3)), 0.1)}},
        ),
        (ValueError, "scenario must be one of .* Did you mean 'default'?", {"scenario": "defualt"}),
        (ValueError, r"num_users must be a whole number in \[1, 100000\], got 0", {"num_users": 0}),
        (ValueError, r"episodes must be a whole number in \[1, 1e\+07\], got 0", {"episodes": 0}),
        (ValueError, r"rounds must be a whole number in \[1, 1e\+07\], got 0", {"rounds": 0}),
        (ValueError, r"seed must be a whole number in \[0, inf\), got -1", {"seed": -1}),
        (ValueError, "env_id must be one of .* Did you mean 'multispin_gym/MultiSpin-v0'", {"env_id": "MultiSpin-v0"}),
        (ValueError, "reference must be one of .* Did you mean 'relaxation'", {"reference": "relax"}),
        (ValueError, "baseline must be one of random; got 'homogeneous'", {"baseline": "homogeneous"}),
    ],
)
def test_bad_input_is_refused_with_one_clear_error(error, message, changes):
    arguments = {"policies": ["random"], "scenario": small(), "episodes": 2, **changes}
    with pytest.raises(error, match=message):
        evaluate(**arguments)


@pytest.mark.slow
def test_regret_is_taken_to_the_rule_on_the_same_rounds_whether_it_is_asked_for_or_not():
    scenario = small("paper_qwen35", num_users=5)
    result = evaluate(["nested_polished", "heterogeneous"], scenario, episodes=4, rounds=6)
    asked = result.policies["nested_polished"]
    np.testing.assert_array_equal(result.nested_polished.goodput, asked.goodput)
    regret = result.estimates["heterogeneous"]["regret_to_nested_polished"]
    expected = 1.0 - result.policies["heterogeneous"].goodput.sum() / asked.goodput.sum()
    assert regret.mean == pytest.approx(expected, abs=1e-15)
    assert result.estimates["nested_polished"]["regret_to_nested_polished"].mean == 0.0
    alone = evaluate(["heterogeneous"], scenario, episodes=4, rounds=6, runner="processes", jobs=1)
    assert alone.estimates["heterogeneous"]["regret_to_nested_polished"] == regret


def test_no_regret_is_taken_to_a_rule_whose_decisions_are_not_the_environments():
    result = evaluate(["homogeneous"], small(), episodes=2, env_id="multispin_gym/MultiSpinHomogeneous-v0")
    assert result.nested_polished is None
    assert "regret_to_nested_polished" not in result.estimates["homogeneous"]
    assert "regret" not in result.table()

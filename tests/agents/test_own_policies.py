"""Policies of one's own: functions of observations, models of Stable-Baselines3, functions named where they stand."""

import json
import re
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch
from evaluations import fixed_drafts, small
from gymnasium.wrappers import FlattenObservation
from runner_tasks import three_drafts
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import multispin_gym as ms
from multispin_gym.baselines import register_controller, unregister_controller
from multispin_gym.commands import main as multispin
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.evaluation import as_policy, evaluate
from multispin_gym.evaluation.cli import main
from multispin_gym.evaluation.named_functions import load_named_function
from multispin_gym.scenarios import change_scenario
from multispin_gym.wrappers import ScaledObservation

SEEN_AS = {
    "raw": lambda env: env,
    "scaled": ScaledObservation,
    "flat": FlattenObservation,
    "scaled and flat": lambda env: FlattenObservation(ScaledObservation(env)),
}


def make_env(wrap=SEEN_AS["raw"], num_users=3):
    return wrap(gym.make(MULTI_SPIN.id, scenario=small(), num_users=num_users))


def policy_name(env):
    return "MultiInputPolicy" if isinstance(env.observation_space, gym.spaces.Dict) else "MlpPolicy"


def make_model(env, algorithm=PPO, **options):
    return algorithm(policy_name(env), env, seed=3, device="cpu", **options)


def stepped(model, env, episodes, seed):
    """Mean goodput of each episode, from stepping the environment that the model was trained in."""
    means = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        rewards, over = [], False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, _, over, _ = env.step(action)
            rewards.append(reward)
        means.append(np.mean(rewards))
    return np.array(means)


@pytest.mark.parametrize("seen", SEEN_AS)
def test_a_live_model_has_the_goodput_of_stepping_its_own_environment(seen):
    env = make_env(SEEN_AS[seen])
    model = make_model(env)
    result = evaluate({"model": model, "policy": model.policy}, small(), episodes=3, seed=11)
    expected = stepped(model, env, 3, 11)
    assert np.ptp(expected) > 0.0
    for name in ("model", "policy"):
        np.testing.assert_allclose(result.policies[name].goodput, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [PPO, A2C, SAC, TD3])
def test_a_file_of_any_algorithm_is_played_as_the_model_that_was_saved(algorithm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = make_env(ScaledObservation)
    options = {"use_sde": True} if algorithm in (A2C, SAC) else {}
    model = make_model(env, algorithm, policy_kwargs={"net_arch": [16, 8]}, **options)
    model.save("mine.zip")
    result = evaluate(["sb3:mine.zip", "uniform_best"], small(), episodes=2, allow_pickle=True)
    np.testing.assert_allclose(result.policies["sb3:mine.zip"].goodput, stepped(model, env, 2, 1000), rtol=1e-4)


@pytest.mark.slow
def test_a_file_is_evaluated_by_the_command_over_the_cores_as_well(tmp_path, capsys):
    make_model(make_env(ScaledObservation)).save(tmp_path / "mine.zip")
    name = f"sb3:{tmp_path / 'mine.zip'}"
    words = ["--policies", "uniform_best", name, "--num-users", "3", "--episodes", "2", "--rounds", "3"]
    assert main([*words, "--output", str(tmp_path / "no")]) == 1
    refusal = capsys.readouterr().err
    assert refusal.count("\n") == 1
    assert "runs the code that is pickled in it" in refusal
    assert "--allow-pickle" in refusal
    for output, more in (("a", []), ("b", ["--runner", "processes", "--jobs", "1"])):
        assert main([*words, "--allow-pickle", *more, "--output", str(tmp_path / output)]) == 0
    assert (tmp_path / "a" / "results.csv").read_bytes() == (tmp_path / "b" / "results.csv").read_bytes()


@pytest.mark.slow
def test_a_file_is_swept_over_the_cells_that_it_fits_and_refused_for_others_beforehand(tmp_path, capsys):
    make_model(make_env(ScaledObservation)).save(tmp_path / "mine.zip")
    name = f"sb3:{tmp_path / 'mine.zip'}"
    words = ["sweep", "--policies", "uniform_best", name, "--allow-pickle", "--episodes", "2", "--rounds", "3"]
    assert multispin([*words, "--vary", "num_users=3,4", "--output", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.startswith(f"multispin sweep: error: at num_users=4: policy {name!r}: ")
    assert not (tmp_path / "no").exists()
    words += ["--num-users", "3", "--output", str(tmp_path / "r")]
    assert multispin([*words, "--vary", "cell.bandwidth=5e6,1e7"]) == 0
    points = json.loads((tmp_path / "r" / "sweep.json").read_text())["points"]
    for point in points:
        scenario = change_scenario(ms.load_scenario("default"), point["values"])
        alone = evaluate(["uniform_best", name], scenario, 3, 2, rounds=3, allow_pickle=True, baseline="uniform_best")
        assert point["policies"] == alone.to_dict()["policies"]


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    assert main(["--policies", str(tmp_path / "folder"), "--output", str(tmp_path / "r")]) == 1
    refusal = capsys.readouterr().err
    assert refusal.count("\n") == 1
    assert "folder is not a run directory: it holds no config.json" in refusal
    assert not (tmp_path / "r").exists()


def test_a_file_that_unpacks_to_much_more_than_it_is_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("data", bytes(2**27))
    with pytest.raises(ValueError, match=r"what it holds must have at most [0-9]+ bytes, got 134217728") as refused:
        evaluate([f"sb3:{tmp_path / 'x.zip'}"], small(), allow_pickle=True)
    assert str(refused.value).isprintable()


def test_nothing_of_a_file_is_run_before_it_is_allowed(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"runs the code that is pickled in it; if you trust .* --allow-pickle"):
        evaluate([f"sb3:{tmp_path / 'x.zip'}"], small())
    with pytest.raises(
        ValueError, match=r"x\.zip is no policy file of Stable-Baselines3, or one that cannot be loaded"
    ):
        evaluate([f"sb3:{tmp_path / 'x.zip'}"], small(), allow_pickle=True)
    with pytest.raises(FileNotFoundError, match=r"there is no file 'none\.zip'"):
        evaluate(["sb3:none.zip"], small())
    with pytest.raises(ValueError, match=r"if Stable-Baselines3 wrote it, its name is sb3:.*x\.zip"):
        evaluate([str(tmp_path / "x.zip")], small())


@pytest.mark.parametrize("seen", ["raw", "scaled and flat"])
def test_a_model_for_another_number_of_users_is_refused_with_both_numbers(seen):
    model = make_model(make_env(SEEN_AS[seen], num_users=4))
    with pytest.raises(ValueError, match=r"^policy 'mine': the model was trained with 4 users and cannot decide for 8"):
        evaluate({"mine": model}, "laptops_60ms", 8, episodes=1)


@pytest.mark.slow
@pytest.mark.parametrize("seen", SEEN_AS)
def test_running_statistics_come_with_a_live_model_or_are_asked_for(seen, tmp_path):
    venv = VecNormalize(DummyVecEnv([lambda: make_env(SEEN_AS[seen])]), norm_reward=False)
    model = make_model(venv, n_steps=32, batch_size=32, n_epochs=1).learn(32)
    venv.training = False
    plain = make_env(SEEN_AS[seen])

    class Normalising:
        def predict(self, observation, deterministic):
            return model.predict(venv.normalize_obs(observation), deterministic=deterministic)

    result = evaluate({"mine": model}, small(), episodes=2)
    np.testing.assert_allclose(result.policies["mine"].goodput, stepped(Normalising(), plain, 2, 1000), rtol=1e-4)
    model.save(tmp_path / "mine.zip")
    name = f"sb3:{tmp_path / 'mine.zip'}"
    with pytest.raises(
        ValueError, match=r"normalised by VecNormalize, .* vecnormalize\.pkl say: load them with env = Vec"
    ):
        evaluate([name], small(), allow_pickle=True)
    with pytest.raises(ValueError, match=r"policy 'bare': its observations were normalised by VecNormalize"):
        evaluate({"bare": PPO.load(tmp_path / "mine.zip", device="cpu")}, small())
    venv.save(tmp_path / "my_vecnormalize.pkl")
    with pytest.raises(
        ValueError, match=r"statistics of VecNormalize in .*my_vecnormalize\.pkl belong to it.*pass the"
    ):
        evaluate([name], small(), allow_pickle=True)
    again = VecNormalize.load(str(tmp_path / "my_vecnormalize.pkl"), DummyVecEnv([lambda: make_env(SEEN_AS[seen])]))
    loaded = evaluate({"mine": PPO.load(tmp_path / "mine.zip", env=again, device="cpu")}, small(), episodes=2)
    np.testing.assert_allclose(loaded.policies["mine"].goodput, result.policies["mine"].goodput, rtol=1e-6)


@pytest.mark.slow
def test_a_trained_model_without_running_statistics_needs_none(tmp_path):
    env = make_env(ScaledObservation)
    venv = VecNormalize(DummyVecEnv([lambda: make_env(ScaledObservation)]), norm_obs=False)
    for learner in (env, venv):
        model = make_model(learner, n_steps=32, batch_size=32, n_epochs=1).learn(32)
        model.save(tmp_path / "mine.zip")
        found = evaluate([f"sb3:{tmp_path / 'mine.zip'}"], small(), episodes=2, allow_pickle=True)
        expected = stepped(model, env, 2, 1000)
        (policy,) = found.policies.values()
        np.testing.assert_allclose(policy.goodput, expected, rtol=1e-4)
        live = evaluate({"live": model}, small(), episodes=2).policies["live"]
        np.testing.assert_allclose(live.goodput, expected, rtol=1e-4)


class Spaces:
    """A model of given spaces."""

    def __init__(self, seen=None, acts=None, state=None):
        env = make_env()
        self.observation_space = env.observation_space if seen is None else seen
        self.action_space = env.action_space if acts is None else acts
        self.state = state

    def predict(self, observation, deterministic=False):
        return np.zeros((3, 6)), self.state


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Spaces(gym.spaces.Dict(x=gym.spaces.Box(0, 1, (3,)))), "the model observes x; the environment shows acc"),
        (Spaces(gym.spaces.Box(0, 1, (7,))), "which is no form of the environment's"),
        (Spaces(gym.spaces.Box(0, 1, (3, 3))), "which is no form of the environment's"),
        (
            Spaces(gym.spaces.Dict({k: gym.spaces.Box(0, 1, (2, 3)) for k in make_env().observation_space})),
            "no form of",
        ),
        (Spaces(acts=gym.spaces.Box(0, 1, (6,))), "takes a box of numbers in"),
        (Spaces(acts=gym.spaces.Discrete(4)), "takes a box of numbers in"),
        (Spaces(state=3), "recurrent models are not evaluated"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, message):
    with pytest.raises(ValueError, match=f"policy 'mine': .*{message}"):
        evaluate({"mine": model}, small(), episodes=3)


def test_a_function_of_observations_is_an_agent_with_the_goodput_of_its_actions():
    envs = gym.make_vec(MULTI_SPIN.id, num_envs=4, vectorization_mode="vector_entry_point", scenario=small())

    def by_acceptance(seen):
        return np.concatenate([2.0 * seen["acceptance_rate"] - 1.0, 0.01 * seen["channel_gain_db"]], axis=-1)

    result = evaluate(
        {"numpy": as_policy(by_acceptance), "torch": ms.as_policy(lambda seen: torch.tensor(by_acceptance(seen)))},
        small(),
        episodes=4,
        seed=5,
    )
    observation, _ = envs.reset(seed=5)
    rewards = 0.0
    for _ in range(7):
        observation, reward, *_ = envs.step(by_acceptance(observation))
        rewards = rewards + reward / 7
    for name in ("numpy", "torch"):
        np.testing.assert_allclose(result.policies[name].goodput, rewards, rtol=1e-6)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3 * 3, 2 * 3)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, seen):
        return torch.tanh(self.drop(self.layer(torch.cat([seen[key] for key in sorted(seen)], dim=-1))))


def test_a_torch_module_is_an_agent_without_its_dropout_and_is_left_as_it_was():
    net = Net()
    assert net.training
    once, again = (evaluate({"net": as_policy(net)}, small(), episodes=3).policies["net"] for _ in range(2))
    assert net.training
    assert (once.goodput == again.goodput).all()
    assert not net.layer.weight.grad
    net.eval()
    with torch.no_grad():
        by_hand = as_policy(lambda seen: net({key: torch.tensor(rows) for key, rows in seen.items()}))
        assert (evaluate({"net": by_hand}, small(), episodes=3).policies["net"].goodput == once.goodput).all()


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda seen: np.zeros((2, 5)), ValueError, "policy 'mine': action must have a last axis of length 6"),
        (lambda seen: "up", TypeError, "policy 'mine': action must be an array of numbers"),
        (lambda seen: np.full((2, 6), np.nan), ValueError, "policy 'mine': action must lie in"),
    ],
)
def test_actions_that_are_none_are_refused_in_the_name_of_the_policy(function, error, message):
    with pytest.raises(error, match=message):
        evaluate({"mine": as_policy(function)}, small(), episodes=2)
    with pytest.raises(TypeError, match="as_policy takes a function of observations, got 3"):
        as_policy(3)


def test_users_from_an_observation_are_those_of_the_environment_bit_for_bit():
    options = {"scenario": "laptops_60ms", "num_users": 5}
    envs = gym.make_vec(MULTI_SPIN.id, num_envs=4, vectorization_mode="vector_entry_point", **options)
    observation, _ = envs.reset(seed=1)
    users, truth = ms.users_from_observation("laptops_60ms", observation), envs.unwrapped.users
    for name in ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power"):
        assert (getattr(users, name) == getattr(truth, name)).all()
    one = ms.users_from_observation(
        ms.load_scenario("laptops_60ms"), {key: rows[2] for key, rows in observation.items()}
    )
    assert (one.channel_gain == truth.channel_gain[2]).all()
    uneven = {**observation, "drafting_speed": observation["drafting_speed"][:, :4]}
    with pytest.raises(ValueError, match=r"must share one shape \(\.\.\., K\), got acceptance_rate \(4, 5\)"):
        ms.users_from_observation("laptops_60ms", uneven)
    with pytest.raises(
        ValueError, match="must have the keys acceptance_rate, channel_gain_db, drafting_speed; got none"
    ):
        ms.users_from_observation("laptops_60ms", {})
    with pytest.raises(ValueError, match="must share one shape"):
        ms.users_from_observation("laptops_60ms", dict.fromkeys(observation, 0.5))


RULES = """
import numpy as np
from beside import LENGTH
from multispin_gym import Decision

def two(users, cell):
    return Decision(np.full(users.acceptance_rate.shape, LENGTH), 1.0 / users.num_users)
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """A folder with a file of rules that imports what lies beside it."""
    (tmp_path / "rules_of_mine.py").write_text(RULES)
    (tmp_path / "beside.py").write_text("LENGTH = 2\n")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_functions_are_policies_by_the_place_where_they_are_written(rules):
    names = ["rules_of_mine:two", "rules_of_mine.py:two", f"{rules}/rules_of_mine.py:two"]
    result = evaluate([*names, "uniform_best"], small(), episodes=2)
    expected = evaluate({"two": fixed_drafts(2)}, small(), episodes=2).policies["two"].goodput
    for name in names:
        assert (result.policies[name].goodput == expected).all()


@pytest.mark.slow
def test_functions_and_registered_controllers_are_played_in_other_processes_too(rules):
    names = ["rules_of_mine.py:two", "three", "heterogeneous"]
    register_controller("three", three_drafts, "three drafts each")
    try:
        here = evaluate(names, small(), episodes=2)
        there = evaluate(names, small(), episodes=2, runner="processes", jobs=1)
    finally:
        unregister_controller("three")
    for name in names:
        assert (here.policies[name].goodput == there.policies[name].goodput).all()
    assert load_named_function(names[0]) is load_named_function(names[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rules_of_mine:tow", r"rules_of_mine has no tow\. Did you mean 'two'"),
        ("none.py:two", "there is no file 'none.py'"),
        ("none_of_mine:two", "none_of_mine cannot be imported: ModuleNotFoundError: No module named 'none_of_mine'"),
        ("broken.py:two", "broken.py cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("rules_of_mine:LENGTH", "must be a name, a callable of users and cell, or an agent; got 2"),
    ],
)
def test_a_function_that_is_not_there_is_refused_in_one_line(rules, name, message, capsys):
    assert main(["--policies", name, "--output", "out"]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert name in printed or "LENGTH" in name
    assert re.search(message, printed)

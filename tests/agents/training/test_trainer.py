"""Training: reproducible, resumable, and it learns."""

import csv
import dataclasses
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from multispin_gym.agents import (
    CloningConfig,
    PolicyConfig,
    PPOConfig,
    TrainConfig,
    load_agent,
    make_training_env,
    train,
)
from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy
from multispin_gym.agents.run_directory import (
    STATE_FILE,
    WEIGHTS_FILE,
    RunDirectoryError,
    read_spec,
    read_state,
    write_state,
)
from multispin_gym.agents.training.callbacks import schedule
from multispin_gym.agents.training.held_out import HELD_OUT_SEED, HeldOutCells
from multispin_gym.agents.training.mixed_users import MixedUsersPPO
from multispin_gym.baselines import make_controller
from multispin_gym.envs.variants import HOMOGENEOUS, VARIANTS
from multispin_gym.physics.rounds import compute_round
from multispin_gym.scenarios.library import load_scenario

pytestmark = pytest.mark.slow

SMALL = TrainConfig(
    num_users=3,
    total_timesteps=6 * 64,
    eval_every=2,
    eval_cells=16,
    checkpoint_every=2,
    progress=False,
    policy=PolicyConfig(width=16, critic_width=16),
    ppo=PPOConfig(num_envs=32, rollout_steps=2, batch_size=16, num_epochs=2),
)


@pytest.fixture
def scenario_file(tmp_path):
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_rounds=3)
    path = tmp_path / "short.toml"
    path.write_text(scenario.to_toml())
    return str(path)


def weights(run_dir):
    return (run_dir / WEIGHTS_FILE).read_bytes()


def interrupt_once_there_is(path):
    """Send this process an interrupt, as Ctrl-C does, once a file exists."""

    def wait():
        while not path.exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_one_seed_gives_one_set_of_weights_and_another_seed_another(tmp_path, scenario_file):
    config = dataclasses.replace(SMALL, scenario=scenario_file)
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        train(dataclasses.replace(config, run_dir=str(tmp_path / name), seed=seed))
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")
    rows = [list(csv.DictReader((tmp_path / name / "evaluations.csv").read_text().splitlines())) for name in "ab"]
    assert [(row["timesteps"], row["ratio"]) for row in rows[0]] == [
        (row["timesteps"], row["ratio"]) for row in rows[1]
    ]
    assert [row["timesteps"] for row in rows[0]] == ["0", "128", "256", "384"]


@pytest.mark.parametrize("num_users", [(), (2, 5, 3)])
def test_an_interrupted_and_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, scenario_file, num_users
):
    ppo = dataclasses.replace(SMALL.ppo, num_users=num_users)
    config = dataclasses.replace(SMALL, scenario=scenario_file, total_timesteps=30 * 64, eval_every=7, ppo=ppo)
    whole = train(dataclasses.replace(config, run_dir=str(tmp_path / "whole")))
    broken = dataclasses.replace(config, run_dir=str(tmp_path / "broken"))
    thread = interrupt_once_there_is(tmp_path / "broken" / STATE_FILE)
    first = train(broken)
    thread.join()
    assert first.stopped == "interrupted"
    assert weights(tmp_path / "broken") != weights(tmp_path / "whole")
    second = train(dataclasses.replace(broken, resume=True))
    assert second.stopped == ""
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert [e["ratio"] for e in second.evaluations] == [e["ratio"] for e in whole.evaluations]
    curves = [curve(tmp_path / name / "tensorboard", "rollout/ep_rew_mean") for name in ("whole", "broken")]
    assert curves[0] == curves[1]
    assert len(curves[0]) > 25


def curve(folder, tag):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_a_finished_run_can_be_prolonged(tmp_path):
    config = dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"))
    done = train(config)
    again = train(dataclasses.replace(config, resume=True))
    assert again.evaluations == done.evaluations
    longer = train(dataclasses.replace(config, resume=True, total_timesteps=8 * 64))
    assert [e["timesteps"] for e in longer.evaluations] == [0, 128, 256, 384, 512]
    assert longer.evaluations[-1]["seconds"] > done.evaluations[-1]["seconds"]


def without_environments(state):
    return {**state, "envs": []}


def without_weights(state):
    return {**state, "policy": {}}


def test_a_training_state_of_another_release_is_refused(tmp_path):
    config = dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"), total_timesteps=64)
    train(config)
    for change in (without_environments, without_weights):
        state = read_state(tmp_path / "run")
        write_state(tmp_path / "run", change(state))
        with pytest.raises(RunDirectoryError, match="damaged or of another release: it does not fit the run"):
            train(dataclasses.replace(config, resume=True, total_timesteps=128))
        write_state(tmp_path / "run", state)


def test_stops_early_at_the_target_ratio(tmp_path):
    config = dataclasses.replace(SMALL, run_dir=str(tmp_path / "run"), target_ratio=0.01)
    result = train(config)
    assert result.stopped == "reached the target ratio 0.01"
    assert [e["timesteps"] for e in result.evaluations] == [0]
    assert load_agent(tmp_path / "run").spec.num_users == 3


@pytest.mark.parametrize(
    ("lengths", "shares"), [("categorical", "learned"), ("sequential", "learned"), ("categorical", "exact")]
)
def test_learns_to_beat_its_start_and_the_agnostic_controllers_on_held_out_cells(tmp_path, lengths, shares):
    config = TrainConfig(
        run_dir=str(tmp_path / "run"),
        scenario="laptops_60ms",
        num_users=4,
        total_timesteps=24_000,
        eval_every=0,
        progress=False,
        policy=PolicyConfig(width=32, critic_width=32, lengths=lengths, shares=shares),
        ppo=PPOConfig(num_envs=128, rollout_steps=8, batch_size=256, num_epochs=5),
    )
    result = train(config)
    scenario = load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(77), 4, batch=(400,))

    def mean_goodput(policy):
        return float(compute_round(users, scenario.cell, policy(users, scenario.cell)).goodput.mean())

    trained = mean_goodput(load_agent(tmp_path / "run"))
    first, last = result.evaluations[0]["ratio"], result.evaluations[-1]["ratio"]
    assert 1.0 - last < 0.2 * (1.0 - first)
    for name in ("uniform_fixed", "uniform_best", "tk_slt"):
        assert trained > 1.1 * mean_goodput(make_controller(name)), name
    assert trained > 0.9 * mean_goodput(make_controller("heterogeneous"))


def test_learns_in_the_homogeneous_environment(tmp_path):
    config = TrainConfig(
        run_dir=str(tmp_path / "run"),
        env_id=HOMOGENEOUS.id,
        num_users=3,
        total_timesteps=16_000,
        eval_every=0,
        progress=False,
        policy=PolicyConfig(width=16, critic_width=16),
        ppo=PPOConfig(num_envs=64, rollout_steps=8, batch_size=128),
    )
    result = train(config)
    assert result.evaluations[-1]["ratio"] > 0.95
    observation = HeldOutCells(load_scenario("laptops_60ms"), 5, 4).observation
    assert load_agent(tmp_path / "run").act(observation).shape == (4, 6)


def test_held_out_cells_are_those_of_their_seed_with_a_bound_that_nobody_passes():
    scenario = load_scenario("laptops_60ms")
    cells = HeldOutCells(scenario, 4, 32)
    again = HeldOutCells(scenario, 4, 32, seed=HELD_OUT_SEED)
    assert all(np.array_equal(cells.observation[key], again.observation[key]) for key in cells.observation)
    decision = make_controller("heterogeneous")(cells.users, cells.cell)
    goodput = compute_round(cells.users, cells.cell, decision).goodput
    assert (goodput <= cells.reference * (1.0 + 1e-9)).all()
    encoded = cells.actions.encode(decision)
    assert np.allclose(cells.goodput(encoded), goodput, rtol=1e-4)


def test_plain_sb3_trains_with_its_own_policy_and_discount():
    env = make_training_env("laptops_60ms", num_users=2, num_envs=4, discount=0.9)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, gamma=0.9, seed=0, device="cpu")
    before = model.policy.parameters_to_vector()
    model.learn(64)
    assert np.isfinite(model.policy.parameters_to_vector()).all()
    assert not np.array_equal(before, model.policy.parameters_to_vector())


def test_the_policy_survives_sb3s_own_save_and_load(tmp_path):
    from multispin_gym.agents import EquivariantPolicy

    env = make_training_env("laptops_60ms", num_users=2, num_envs=4)
    scenario = env.get_attr("scenario")[0]
    model = PPO(
        EquivariantPolicy, env, n_steps=4, batch_size=8, device="cpu", policy_kwargs={"scenario": scenario}, seed=0
    )
    model.save(tmp_path / "model.zip")
    observation = env.reset()
    loaded = PPO.load(tmp_path / "model.zip", device="cpu")
    expected = model.predict(observation, deterministic=True)[0]
    assert np.array_equal(loaded.predict(observation, deterministic=True)[0], expected)
    torch.manual_seed(0)
    assert not np.array_equal(model.predict(observation)[0], expected)


def test_schedules_fall_from_their_initial_value():
    linear, cosine, constant = (schedule(kind, 2.0) for kind in ("linear", "cosine", "constant"))
    assert [linear(x) for x in (1.0, 0.5, 0.0)] == [2.0, 1.0, 0.0]
    assert [cosine(x) for x in (1.0, 0.5, 0.0)] == pytest.approx([2.0, 1.0, 0.0])
    assert [constant(x) for x in (1.0, 0.5, 0.0)] == [2.0, 2.0, 2.0]


def test_a_directory_in_use_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match=r"new or an empty directory; .* holds other files"):
        train(dataclasses.replace(SMALL, run_dir=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    train(dataclasses.replace(SMALL, run_dir=str(tmp_path / "run")))
    kept = weights(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        train(dataclasses.replace(SMALL, run_dir=str(tmp_path / "run")))
    assert weights(tmp_path / "run") == kept
    assert read_spec(tmp_path / "run").training["seed"] == 0


@pytest.mark.parametrize("env_id", [row.id for row in VARIANTS.values() if not row.clock])
def test_cloning_starts_from_what_the_controller_decides(tmp_path, env_id):
    config = dataclasses.replace(
        SMALL,
        run_dir=str(tmp_path / "run"),
        env_id=env_id,
        total_timesteps=1,
        cloning=CloningConfig(num_cells=3072, num_epochs=12, batch_size=64, num_users=(2, 3)),
        policy=PolicyConfig(width=32, critic_width=32),
    )
    result = train(config)
    assert result.evaluations[0]["timesteps"] == 0
    assert result.evaluations[0]["ratio"] > 0.95
    network = load_agent(tmp_path / "run").network
    assert float(network.log_std.detach().exp()) == pytest.approx(config.policy.share_std, rel=0.02)


@pytest.mark.parametrize("name", ["reward_unit", "reward"])
@pytest.mark.parametrize(("unit", "controller"), [("homogeneous", "homogeneous"), ("optimum", "exact")])
def test_rewards_can_be_counted_in_what_a_controller_reaches_in_the_same_round(unit, controller, name):
    env = make_training_env("laptops_60ms", num_users=3, num_envs=16, **{name: unit})
    env.seed(0)
    env.reset()
    native = env.env.unwrapped
    decision = make_controller(controller)(native.users, native.cell)
    _, rewards, _, _ = env.step(native.encode_action(decision))
    assert np.allclose(rewards, 1.0, rtol=2e-4)


def test_an_unknown_unit_of_rewards_is_named_and_one_under_two_names_refused():
    for name in ("reward_unit", "reward"):
        with pytest.raises(ValueError, match=r"reward_unit must be one of .* Did you mean 'optimum'"):
            make_training_env("laptops_60ms", **{name: "optimal"})
    with pytest.raises(ValueError, match="reward is the former name of reward_unit: give one of them, not both"):
        make_training_env("laptops_60ms", reward_unit="optimum", reward="optimum")


def test_updates_take_turns_with_the_numbers_of_users():
    envs = [make_training_env("laptops_60ms", num_users=count, num_envs=8) for count in (5, 2)]
    scenario = load_scenario("laptops_60ms")
    options = {"n_steps": 2, "batch_size": 16, "n_epochs": 1, "gamma": 0.0, "policy_kwargs": {"scenario": scenario}}
    model = MixedUsersPPO(EquivariantPolicy, envs, **options)
    for _ in range(2):
        model.learn(3 * 16)
        assert [slot.buffer.actions.shape for slot in model.slots] == [(32 // 2, 10), (16, 4)]
        # Each environment stands where its own rounds left it.
        assert [int(slot.env.episode_lengths[0]) for slot in model.slots] == [4, 2]
        for slot in model.slots:
            native = slot.env.env.unwrapped
            assert np.array_equal(slot.observation["acceptance_rate"][:, 0], native.users.acceptance_rate[:, 0])


def test_environments_that_take_turns_need_equally_many_rows():
    envs = [make_training_env("laptops_60ms", num_users=2, num_envs=rows) for rows in (4, 8)]
    for chosen in ([], envs):
        with pytest.raises(ValueError, match="envs must be at least one environment, all with equally many rows"):
            MixedUsersPPO(EquivariantPolicy, chosen)

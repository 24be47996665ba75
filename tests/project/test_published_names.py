"""What was published goes on working: names to import, module names of earlier layouts, commands and files."""

import importlib
import inspect
import subprocess
import sys

import pytest
from library import ROOT

import multispin_gym
from multispin_gym._former_names import FORMER_NAMES

NAMES = {
    "multispin_gym": (
        "AffineVerification Cell Decision Fading Objective RoundOutcome Scenario TableVerification Users "
        "expected_tokens list_scenarios load_scenario play_round"
    ),
    "multispin_gym.baselines": (
        "Certificate Controller ProtocolOutcome Relaxation believed_users best_common_length cen_spin certify "
        "list_controllers list_estimators make_controller make_estimator p2p_spin relax"
    ),
    "multispin_gym.agents": (
        "Agent CloningConfig EquivariantPolicy MixedUsersPPO PPOConfig PolicyConfig RunDirectoryError SB3VecEnv "
        "TrainConfig list_pretrained load_agent make_training_env pretrained_card train"
    ),
    "multispin_gym.wrappers": "DictAction ScaledObservation VectorDictAction VectorScaledObservation",
    "multispin_gym.evaluation": (
        "EvaluationResult MOST_USERS_CERTIFIED PolicyResult REFERENCES ReferenceExceededError ServiceMeasures "
        "ServiceResult as_policy evaluate"
    ),
    "multispin_gym.statistics": "Estimate gain_estimate interquartile_mean iqm_estimate jain_index mean_estimate",
    "multispin_gym.acceptance": "expected_tokens mean_tokens sampled_tokens",
    "multispin_gym.cell": "Cell",
    "multispin_gym.env": "MultiSpinEnv",
    "multispin_gym.evaluation_cli": "Evaluation main",
    "multispin_gym.fading": "Fading",
    "multispin_gym.homogeneous_env": "MultiSpinHomogeneousEnv MultiSpinHomogeneousVectorEnv",
    "multispin_gym.measurements": "list_measurements load_measurement measured_verification",
    "multispin_gym.objectives": "Objective",
    "multispin_gym.path_loss": "PathLoss db_to_gain gain_to_db watt_to_dbm",
    "multispin_gym.payload": "dssd effective_vocabulary full_distribution payload_bits token_id top_k",
    "multispin_gym.plotting": "draw_result",
    "multispin_gym.policies": "Agent Policy PRETRAINED",
    "multispin_gym.populations": "AcceptanceClass DeviceClass",
    "multispin_gym.provenance": "Source",
    "multispin_gym.rendering": "render_round render_users",
    "multispin_gym.report": "check_output save to_csv to_json to_table versions",
    "multispin_gym.results": "Alarm EvaluationResult PolicyResult",
    "multispin_gym.rounds": "Decision RoundOutcome check_lengths compute_round play_round",
    "multispin_gym.scenario": "Scenario",
    "multispin_gym.scenario_library": "list_scenarios load_scenario",
    "multispin_gym.spaces": "ActionCodec OBSERVATION_KEYS ObservationCodec SHARE_SHARPNESS",
    "multispin_gym.uplink": "DensityUplink TotalPowerUplink",
    "multispin_gym.users": "Users",
    "multispin_gym.vector_env": "MultiSpinVectorEnv",
    "multispin_gym.verification": "AffineVerification TableVerification",
    "multispin_gym.agents.agent": "Agent load_agent",
    "multispin_gym.agents.cli": "main parse",
    "multispin_gym.agents.config": "CloningConfig PPOConfig PolicyConfig TrainConfig",
    "multispin_gym.agents.policy": "EquivariantPolicy",
    "multispin_gym.agents.pretrained_agents": "list_pretrained pretrained_card",
    "multispin_gym.agents.run_directory": "AgentSpec RunDirectoryError read_spec read_weights",
    "multispin_gym.agents.search": "SearchConfig main search",
    "multispin_gym.agents.seeds": "mean_interval seed_directory train_seeds",
    "multispin_gym.agents.training": "TrainingResult train",
    "multispin_gym.agents.training_env": "HeldOutCells make_native_env make_training_env",
    "multispin_gym.agents.vec_adapter": "SB3VecEnv",
}
ENV_ARGUMENTS = "scenario num_users num_rounds sampled max_time reward optimum weights render_mode"
EVALUATE_ARGUMENTS = "policies scenario num_users episodes seed rounds sampled env_id reference baseline progress"
FILES = """
pyproject.toml README.md constraints.txt train.py evaluate.py multispin_gym/py.typed agents baselines tests
examples/own_controller.py examples/own_cell.py docs/model.md docs/evaluation.md docs/training.md
"""


@pytest.mark.parametrize("module", NAMES)
def test_published_names_can_be_imported_from_where_they_were(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("former", sorted(FORMER_NAMES))
def test_a_former_module_is_the_module_that_took_its_place(former):
    old, new = importlib.import_module(former), importlib.import_module(FORMER_NAMES[former])
    assert old is new
    # Importing it under the earlier name leaves no trace in it.
    assert new.__name__ == new.__spec__.name == FORMER_NAMES[former]


@pytest.mark.slow
def test_earlier_and_present_names_import_in_either_order():
    for order in (("rounds", "physics.rounds"), ("physics.rounds", "rounds")):
        first, second = (f"multispin_gym.{name}" for name in order)
        code = f"import {first} as a, {second} as b; from {first} import Decision; print(a is b)"
        finished = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
        )
        assert finished.stdout == "True\n"


def test_environments_take_the_arguments_that_they_took():
    from multispin_gym.envs import MultiSpinEnv, MultiSpinVectorEnv

    single, vector = (inspect.signature(cls).parameters for cls in (MultiSpinEnv, MultiSpinVectorEnv))
    assert set(ENV_ARGUMENTS.split()) <= set(single)
    assert {*ENV_ARGUMENTS.split(), "num_envs", "autoreset_mode", "max_episode_steps"} <= set(vector)
    with pytest.raises(TypeError, match=r"num_user is not an argument of MultiSpinEnv.* Did you mean 'num_users'"):
        MultiSpinEnv(num_user=3)


def test_evaluate_takes_the_arguments_that_it_took_in_their_order():
    from multispin_gym.evaluation import evaluate

    known = [name for name in inspect.signature(evaluate).parameters if name in EVALUATE_ARGUMENTS.split()]
    assert known == EVALUATE_ARGUMENTS.split()


OPTIONS = {
    "evaluate.py": (
        "--policies --scenario --num-users --episodes --rounds --seed --sampled --env-id --reference --baseline "
        "--output"
    ),
    "train.py": (
        "--run-dir --scenario --env-id --num-users --hyperparameters --total-timesteps --seed --seeds --jobs --resume "
        "--threads --eval-every --eval-cells --checkpoint-every --target-ratio --progress --policy.lengths "
        "--ppo.num-envs --ppo.discount --cloning.num-cells"
    ),
    "-m multispin_gym.agents.search": (
        "--output --scenario --num-users --hyperparameters --num-trials --total-timesteps --training-seeds --seed"
    ),
    "-m multispin_gym.agents.tune": "--output --scenario --num-trials",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", OPTIONS)
def test_commands_take_the_options_that_they_took(command):
    words = [sys.executable, *command.split(), "--help"]
    shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [option for option in OPTIONS[command].split() if option not in shown] == []


def test_files_that_people_rely_on_are_where_they_were():
    assert [name for name in FILES.split() if not (ROOT / name).exists()] == []


def test_everything_that_is_offered_exists():
    for name in multispin_gym.__all__:
        assert hasattr(multispin_gym, name)

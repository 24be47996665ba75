"""The search for hyperparameters."""

import dataclasses
import json

import optuna
import pytest
from library import ROOT

from multispin_gym import list_scenarios
from multispin_gym.agents import PPOConfig, TrainConfig
from multispin_gym.agents.hyperparameter_files import hyperparameters, read_hyperparameters, shipped_hyperparameters
from multispin_gym.agents.tune import SearchConfig, main, score, search

pytestmark = pytest.mark.slow


def test_a_study_is_reproducible_and_its_best_trial_becomes_a_hyperparameter_file(tmp_path):
    reports = [
        search(
            SearchConfig(output=tmp_path / name / "study.json", num_users=3, num_trials=2, total_timesteps=1, seed=3)
        )
        for name in ("a", "b")
    ]
    assert reports[0] == reports[1]
    stored = json.loads((tmp_path / "a" / "study.json").read_text())
    assert stored["trials"] == reports[0]["trials"]
    trials = reports[0]["trials"]
    assert len(trials) == 2
    best = max(trials, key=lambda trial: trial["ratio"])
    assert reports[0]["best"] == {name: value for name, value in best.items() if name != "ratios"}
    assert best["ratio"] == pytest.approx(sum(best["ratios"]) / 2)
    text = (tmp_path / "a" / "study.toml").read_text()
    config = TrainConfig(**read_hyperparameters(text, "study.toml"))
    assert config.ppo.learning_rate == reports[0]["best"]["learning_rate"]
    assert config.policy.share_std == reports[0]["best"]["share_std"]


STUDIES = sorted(path.stem for path in (ROOT / "docs" / "results" / "training" / "search").glob("*.json"))


def test_presets_without_a_published_study_train_with_what_suits_any():
    for scenario in list_scenarios():
        fields = hyperparameters(scenario)
        assert (fields == shipped_hyperparameters("any.toml")) == (scenario not in STUDIES)
    assert hyperparameters("default") == hyperparameters("paper_qwen35")


@pytest.mark.parametrize("scenario", STUDIES)
def test_the_hyperparameters_of_a_preset_are_the_best_of_its_published_study(scenario):
    study = json.loads((ROOT / "docs" / "results" / "training" / "search" / f"{scenario}.json").read_text())
    assert study["scenario"] == scenario
    assert len(study["trials"]) == study["num_trials"]
    best = max(study["trials"], key=lambda trial: trial["ratio"] or 0.0)
    assert len(best["ratios"]) == len(study["training_seeds"])
    first = shipped_hyperparameters("any.toml")
    shipped = shipped_hyperparameters(f"{scenario}.toml")
    for name in ("learning_rate", "num_epochs", "batch_size", "entropy_coefficient", "clip_range"):
        assert getattr(shipped["ppo"], name) == best[name] == study["best"][name]
        assert study["trials"][0][name] == getattr(first["ppo"], name)
    assert shipped["policy"].share_std == best["share_std"]
    # The studies have independent lengths; where the server's time has many steps they are chosen in turn.
    lengths = "sequential" if scenario == "twenty_users" else first["policy"].lengths
    assert shipped["policy"] == dataclasses.replace(first["policy"], share_std=best["share_std"], lengths=lengths)
    assert shipped == hyperparameters(scenario)


def test_a_trial_is_given_up_after_a_seed_below_the_median_of_the_others(tmp_path):
    ppo = PPOConfig(num_envs=16, rollout_steps=2, batch_size=32)
    config = TrainConfig(num_users=2, total_timesteps=1, eval_cells=8, progress=False, run_dir=str(tmp_path), ppo=ppo)
    for others, seeds_tried in ((0.0, 2), (1.0, 1)):
        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
        study.add_trial(optuna.trial.create_trial(value=others, intermediate_values={0: others, 1: others}))
        trial = study.ask()
        if others == 1.0:
            with pytest.raises(optuna.TrialPruned):
                score(trial, config, (3, 4))
        else:
            assert score(trial, config, (3, 4)) == pytest.approx(sum(trial.user_attrs["ratios"]) / 2)
        assert len(trial.user_attrs["ratios"]) == seeds_tried


def test_bad_input_gives_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--scenario", "defualt"]) == 2
    assert "Did you mean 'default'?" in capsys.readouterr().err
    with pytest.raises(ValueError, match="num_trials must be a whole number"):
        SearchConfig(num_trials=0)
    with pytest.raises(ValueError, match="training_seeds must name at least one seed"):
        SearchConfig(training_seeds=())
    assert list(tmp_path.iterdir()) == []


QUICK = """
[policy]
width = 8
critic_width = 8
[ppo]
num_envs = 256
rollout_steps = 8
"""


@pytest.fixture(scope="module")
def quick_search(tmp_path_factory):
    """Arguments of a search of three trials of one update, without its output."""
    path = tmp_path_factory.mktemp("files") / "quick.toml"
    path.write_text(QUICK)
    arguments = ["--hyperparameters", str(path), "--num-trials", "3", "--num-users", "2"]
    return [*arguments, "--total-timesteps", "1", "--training-seeds", "0"]


def files(folder):
    return {path.name: path.read_bytes().replace(str(folder).encode(), b"") for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, quick_search):
    """The files of the whole search."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main([*quick_search, "--output", str(folder / "study.json")]) == 0
    return files(folder)


# A trial puts its run's config in place, then state, weights and evaluations before and after its only update, then
# the two files of the study: the second trial's are the tenth to the eighteenth.
@pytest.mark.parametrize("number", [11, 14, 17])
def test_an_interrupt_ends_a_search_which_goes_on_to_the_same_files(
    tmp_path, quick_search, undisturbed, interrupt_at_file, capsys, number
):
    arguments = [*quick_search, "--output", str(tmp_path / "study.json")]
    interrupt_at_file(number)
    assert main(arguments) == 130
    assert capsys.readouterr().err.splitlines() == [
        "1 of 3 trials are finished",
        "search: interrupted; --resume goes on after the last finished trial",
    ]
    kept = json.loads((tmp_path / "study.json").read_text())["trials"]
    assert kept == json.loads(undisturbed["study.json"])["trials"][:1]
    assert main([*arguments, "--resume"]) == 0
    assert capsys.readouterr().err.splitlines() == ["2 of 3 trials are finished", "3 of 3 trials are finished"]
    assert files(tmp_path) == undisturbed


def test_a_search_that_was_killed_between_its_files_writes_the_other_when_it_goes_on(
    tmp_path, quick_search, undisturbed, capsys
):
    arguments = [*quick_search, "--output", str(tmp_path / "study.json"), "--resume"]
    for stale in (None, b"[ppo]\n"):
        (tmp_path / "study.json").write_bytes(undisturbed["study.json"])
        if stale is not None:
            (tmp_path / "study.toml").write_bytes(stale)
        assert main(arguments) == 0
        assert capsys.readouterr().err == ""
        assert files(tmp_path) == undisturbed
        (tmp_path / "study.toml").unlink()


@pytest.mark.parametrize(
    ("name", "message"),
    [(".", "output must be a file, got the directory"), ("file/study.json", "output must lie in a directory, got")],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path, capsys, name, message):
    (tmp_path / "file").touch()
    assert main(["--output", str(tmp_path / name)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1

"""The studies of other libraries: what they publish is what the trained policies reach on the held-out episodes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from multispin_gym.evaluation import evaluate

pytestmark = pytest.mark.slow

SMALL = ["--scenario", "laptops_60ms", "--num-users", "2", "--episodes", "2", "--seeds", "0", "--runner", "local"]


@pytest.fixture
def environments(tmp_path):
    """The environment of the tests in the place of the clients' own."""
    for name in ("sb3", "cleanrl"):
        (tmp_path / "environments" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "environments" / name).symlink_to(Path(sys.executable).parents[1])
    return tmp_path / "environments"


def test_a_client_is_trained_in_its_environment_and_measured_beside_the_controllers(benchmark, environments, tmp_path):
    options = [*SMALL, "--clients", "sb3_ppo", "--budgets", "256", "--environments", str(environments)]
    assert benchmark("clients").main([*options, "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "clients.json").read_text())
    (entry,) = report["trainings"]
    assert entry["rounds"] == 256
    assert set(entry["versions"]) == {"python", "stable-baselines3", "gymnasium", "torch", "numpy"}
    example = benchmark("_held_out").load_example("sb3_training")
    model = example.train("laptops_60ms", 2, 256, 0, "ppo")
    result = evaluate({"model": model, "homogeneous": "homogeneous"}, "laptops_60ms", 2, episodes=2)
    played = result.policies["model"].goodput
    assert entry["goodput"]["median"] == pytest.approx(played.mean())
    assert entry["ratio"]["median"] == pytest.approx(played.sum() / result.reference_goodput.sum())
    goodput = result.policies["homogeneous"].goodput
    assert report["controllers"]["homogeneous"]["goodput"] == pytest.approx(goodput.mean())
    assert "| `sb3_ppo` | stable-baselines3" in (tmp_path / "clients.md").read_text()


def test_a_client_that_fails_leaves_one_line(benchmark, environments, tmp_path, capsys):
    options = [*SMALL, "--environments", str(environments), "--output", str(tmp_path / "out")]
    assert benchmark("clients").main([*options, "--clients", "cleanrl", "--budgets", "64"]) == 1
    assert "cleanrl" in capsys.readouterr().err.splitlines()[-1]
    assert benchmark("clients").main([*options, "--clients", "cleanlr"]) == 1
    assert "Did you mean 'cleanrl'" in capsys.readouterr().err
    assert not (tmp_path / "out" / "clients.json").exists()


def test_plain_recipes_are_summed_up_over_their_seeds(benchmark, tmp_path, monkeypatch):
    study = benchmark("plain_recipes")
    monkeypatch.setattr(study, "TRAININGS", (study.Training("ppo", 0.0, 512),))
    options = [*SMALL[:-4], "--seeds", "0", "1", "2", "--shorter", "2", "--runner", "local"]
    assert study.main([*options, "--output", str(tmp_path)]) == 0
    (entry,) = json.loads((tmp_path / "plain_recipes.json").read_text())["trainings"]
    assert entry["rounds"] == 256
    ratios = [found["ratio"] for found in entry["runs"].values()]
    assert len(set(ratios)) == 3
    assert entry["ratio"] == {"median": np.median(ratios), "least": min(ratios), "most": max(ratios)}
    assert "| `ppo` | 0 | 256 |" in (tmp_path / "plain_recipes.md").read_text()

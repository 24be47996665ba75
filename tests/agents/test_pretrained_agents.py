"""Agents that ship: each loads, and does what its card says."""

import shlex

import pytest
from library import ROOT

from multispin_gym import play_round
from multispin_gym.agents import list_pretrained, load_agent, pretrained_card
from multispin_gym.agents.cli import parse
from multispin_gym.agents.hyperparameter_files import build_section
from multispin_gym.agents.training.held_out import HeldOutCells
from multispin_gym.baselines import make_controller


def test_agents_ship():
    assert list_pretrained() == sorted(path.name for path in (ROOT / "agents" / "pretrained").iterdir())
    assert {"laptops_60ms", "laptops_60ms-homogeneous", "laptops_60ms-ppo"} <= set(list_pretrained())


@pytest.mark.slow
@pytest.mark.parametrize("name", list_pretrained())
def test_an_agent_reaches_the_figures_on_its_card(name):
    agent, card = load_agent(f"pretrained:{name}"), pretrained_card(name)
    assert agent.name == f"pretrained:{name}"
    assert agent.spec.scenario.name == card["scenario"]
    for figures in card["held_out"]:
        cells = HeldOutCells(
            agent.spec.scenario, figures["num_users"], figures["cells"], agent.spec.env_id, figures["seed"]
        )
        goodput = cells.goodput(agent.act(cells.observation))
        assert goodput.mean() == pytest.approx(figures["goodput"], rel=1e-4)
        # The upper bound may get sharper; the agent then only looks better.
        assert goodput.sum() / cells.reference.sum() >= figures["ratio_to_reference"] - 1e-4
        best, rule = (
            play_round(cells.users, cells.cell, make_controller(other)(cells.users, cells.cell)).goodput
            for other in ("uniform_best", "nested_polished")
        )
        assert goodput.mean() > best.mean()
        ratio, regret = figures["nested_polished_ratio_to_reference"], figures["regret_to_nested_polished"]
        assert rule.mean() == pytest.approx(figures["goodput"] / figures["ratio_to_reference"] * ratio, rel=1e-4)
        assert goodput.sum() / rule.sum() == pytest.approx(1.0 - regret, abs=1e-4)
        low, high = figures["regret_to_nested_polished_ci95"]
        assert low < regret < high


@pytest.mark.slow
@pytest.mark.parametrize("name", list_pretrained())
def test_the_command_on_a_card_asks_for_the_training_that_the_agent_had(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    spec, (python, script, *flags) = (
        load_agent(f"pretrained:{name}").spec,
        shlex.split(pretrained_card(name)["command"]),
    )
    assert (python, script) == ("python", "train.py")
    config = parse(flags)
    assert (config.scenario, config.env_id, config.policy) == (spec.scenario.name, spec.env_id, spec.policy)
    assert (config.num_users or spec.scenario.num_users) == spec.num_users
    assert config.ppo == build_section("ppo", spec.training["ppo"])
    assert config.cloning == build_section("cloning", spec.training["cloning"])
    assert (config.seed, config.total_timesteps) == (spec.training["seed"], spec.training["total_timesteps"])


def test_an_unknown_name_points_at_the_nearest():
    with pytest.raises(ValueError, match=r"pretrained agent must be one of .* Did you mean 'twenty_users'"):
        load_agent("pretrained:twenty_user")


@pytest.mark.parametrize("former", ["default", "default-homogeneous", "default-ppo", "default_density"])
def test_a_name_of_earlier_releases_leads_to_the_one_of_today(former):
    today = former.replace("default", "laptops_60ms")
    with pytest.raises(ValueError, match=f"pretrained agent '{former}' was renamed: it is '{today}' today"):
        load_agent(f"pretrained:{former}")
    assert today in list_pretrained()

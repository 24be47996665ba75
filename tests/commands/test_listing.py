"""``multispin list``: a line for everything there is, with what its source says."""

import pytest

from multispin_gym import load_scenario
from multispin_gym.agents import list_pretrained, pretrained_card
from multispin_gym.baselines import list_controllers, list_estimators, make_controller
from multispin_gym.commands import main
from multispin_gym.commands.listing import SECTIONS, describe_server
from multispin_gym.envs.variants import VARIANTS
from multispin_gym.scenarios import list_measurements, list_scenarios

NAMES = {
    "scenarios": list_scenarios(),
    "controllers": list_controllers(),
    "estimators": list_estimators(),
    "agents": [f"pretrained:{name}" for name in list_pretrained()],
    "environments": list(VARIANTS),
    "tables": list_measurements(),
}


def listed(capsys, *args):
    assert main(["list", *args]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_one_line_for_each_of_its_names(section, capsys):
    heading, *lines = listed(capsys, section).splitlines()
    assert heading
    assert [line.split()[0] for line in lines] == NAMES[section]


def test_everything_is_shown_section_by_section(capsys):
    assert listed(capsys) == "\n".join(listed(capsys, section) for section in SECTIONS)


def test_lines_say_what_scenarios_controllers_and_cards_say(capsys):
    text = listed(capsys)
    for name in list_scenarios():
        scenario = load_scenario(name)
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [name] and scenario.description in line)
        assert line.split()[1] == str(scenario.num_users)
        assert scenario.cell.verification.batching in line
    for name in list_controllers():
        assert make_controller(name).summary in text
    for name in list_pretrained():
        (line,) = (line for line in text.splitlines() if line.startswith(f"pretrained:{name} "))
        card = pretrained_card(name)
        assert line.split()[1] == card["scenario"]
        for held in card["held_out"]:
            assert f"{held['ratio_to_reference']:.3f} (K = {held['num_users']})" in line
        assert line.endswith(", ".join(f"{held['regret_to_nested_polished']:+.2%}" for held in card["held_out"]))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"fixed": 0.06, "per_token": 3e-4, "batching": "ragged"}, "60 ms + 0.3 ms per token, ragged"),
        ({"fixed": 0.0227, "per_token": 0.0}, "22.7 ms, padded"),
        ({"table": "a100_llama2_7b", "scale": 4.0}, "a100_llama2_7b x 4, padded"),
        ({"table": "a100_llama2_7b"}, "a100_llama2_7b, padded"),
        ({"num_tokens": [1, 2], "seconds": [1, 2]}, "table of 2 points, padded"),
    ],
)
def test_a_server_is_described_by_its_times(table, words):
    assert describe_server(table) == words


def test_an_unknown_section_names_the_nearest(capsys):
    assert main(["list", "scenario"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "Did you mean 'scenarios'?" in printed

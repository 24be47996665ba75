"""The benchmark of pictures draws rounds with both libraries."""

import json

import numpy as np

import multispin_gym as ms
from multispin_gym.baselines import make_controller


def test_both_libraries_draw_a_round_of_one_size(benchmark, tmp_path, capsys):
    module = benchmark("rendering")
    scenario = ms.load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(0), 3)
    decision = make_controller("uniform_best")(users, scenario.cell)
    frame = module.draw_with_matplotlib(users, decision, ms.play_round(users, scenario.cell, decision), "round 1 of 1")
    assert (frame.shape, frame.dtype) == ((720, 1280, 3), np.uint8)
    assert frame.std() > 10.0
    assert module.main(["--seconds", "0.01", "--num-users", "2", "--output", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "rendering.json").read_text())["rows"]
    assert row["num_users"] == 2
    assert set(row["pictures_per_second"]) == {"multispin_gym", "matplotlib"}
    shown = capsys.readouterr().out
    assert all(name in shown and rate > 0.0 for name, rate in row["pictures_per_second"].items())

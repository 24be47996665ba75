"""Rounds on a clock as text and pictures: who is absent, who was late, and what time it is."""

import gymnasium as gym
import numpy as np
import pytest
from clock_games import IDS, make, make_vec, varied_actions

import multispin_gym as ms
from multispin_gym.rendering import draw_round, draw_users
from multispin_gym.rendering.text import LOST, UPLOAD, render_round, render_users
from multispin_gym.rendering.titles import title_before, title_of

CELL = ms.Cell(10e6, 3.98e-21, 16384.0, ms.AffineVerification(fixed=0.06), downlink=3200.0, downlink_payload=32.0)
FIELDS = ([0.5, 0.8, 0.7], [100.0, 50.0, 80.0], [1e-10, 1e-10, 1e-10], 0.02)
PRESENT = [True, True, False]


def round_of(present, cutoff):
    users = ms.Users(*FIELDS, present=present)
    decision = ms.Decision([3, 9, 2], [0.5, 0.3, 0.2], cutoff)
    return users, decision, ms.play_round(users, CELL, decision)


def test_headlines_say_the_time_where_there_is_a_clock():
    assert title_of(3, 100) == "round 3 of 100"
    assert title_of(3, None, 1.234, 60.0) == "round 3, at 1.23 of 60 s"
    assert title_before(3, 100, 12.0) == "round 3 of 100, at 12.00 s is about to be played"


def test_text_shows_who_is_absent_and_who_was_late():
    users, decision, outcome = round_of(PRESENT, 0.1)
    assert outcome.verified.tolist() == [True, False, False]
    lines = render_round(users, decision, outcome, "now").splitlines()
    first, second, third = lines[4:7]
    assert UPLOAD not in second
    assert first.split()[-1] == f"{outcome.tokens[0]:.2f}"
    assert second.split()[-1] == "late"
    assert third == "   3  absent"
    assert lines[-1].endswith(f"{LOST} lost")
    assert render_users(users, "now").splitlines()[-1] == "   3  absent"
    # Between drafting and the cut-off its upload was under way.
    users, decision, outcome = round_of(PRESENT, 0.1801)
    assert LOST not in "".join(render_round(users, decision, outcome, "now").splitlines()[4:7])
    slow = ms.Decision([3, 9, 2], [0.5, 1e-4, 0.2], 0.3)
    text = render_round(users, slow, ms.play_round(users, CELL, slow), "now").splitlines()
    assert LOST in text[5]


def test_text_of_a_round_with_nobody_in_it():
    users, decision, outcome = round_of([False] * 3, 0.1)
    assert outcome.latency == 0.0
    lines = render_round(users, decision, outcome, "now").splitlines()
    assert [line.split()[-1] for line in lines[4:7]] == ["absent"] * 3
    assert draw_round(users, decision, outcome, "now").shape == (720, 1280, 3)
    assert draw_users(users, "now").shape == (720, 1280, 3)


def test_pictures_take_who_is_absent_and_late_from_users_and_outcome():
    users, decision, outcome = round_of(PRESENT, 0.1)
    drawn = draw_round(users, decision, outcome, "now")
    late = [False, True, False]
    np.testing.assert_array_equal(drawn, draw_round(users, decision, outcome, "now", present=PRESENT, lost=late))
    assert (drawn != draw_round(users, decision, outcome, "now", present=[True] * 3)).any()
    assert (drawn != draw_round(users, decision, outcome, "now", lost=[False] * 3)).any()
    np.testing.assert_array_equal(draw_users(users, "now"), draw_users(users, "now", present=PRESENT))


@pytest.mark.parametrize("env_id", IDS)
def test_environments_head_their_rounds_with_the_time(env_id):
    env = make(env_id, render_mode="ansi", episode_seconds=1e3)
    info = env.reset(seed=0)[1]
    rng, time = np.random.default_rng(0), info["time"]
    assert env.render().startswith(f"MultiSpin  round 1, at {time:.2f} of 1000 s is about to be played")
    for number in range(1, 8):
        info = env.step(varied_actions(rng, env, 1)[0])[4]
        text = env.render()
        assert text.startswith(f"MultiSpin  round {number}, at {time:.2f} of 1000 s  ")
        assert text.count("absent") == (~info["present"]).sum()
        assert text.count(" late") == (info["present"] & ~info["verified"]).sum()
        time = info["time"]


def test_rows_that_begin_anew_show_the_time_of_their_own_clock():
    envs = make_vec(IDS[1], 2, render_mode="ansi", num_rounds=2)
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    envs.step(varied_actions(rng, envs, 2))
    assert all(text.startswith("MultiSpin  round 1 of 2, at 0.00 of 6 s  ") for text in envs.render())
    envs.step(varied_actions(rng, envs, 2))
    assert all(text.startswith("MultiSpin  round 2 of 2, at ") for text in envs.render())
    envs.step(varied_actions(rng, envs, 2))
    begun = "MultiSpin  round 1 of 2, at 0.00 of 6 s is about to be played"
    assert all(text.startswith(begun) for text in envs.render())
    plain = gym.make(IDS[1], episode_seconds=None, render_mode="ansi")
    plain.reset(seed=0)
    assert "round 1 of 100, at 0.00 s is about" in plain.render()

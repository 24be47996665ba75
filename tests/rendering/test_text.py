from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.rendering.text import BAR_WIDTH, DRAFTING, UPLOAD, VERIFICATION, WAITING, render_round

ENV = "multispin_gym/MultiSpin-v0"
# 40 ms of drafting and upload before 60 ms of verification: 24 of 60 columns.
CELL = ms.Cell(10e6, 3.98e-21, 16384.0, ms.AffineVerification(fixed=0.06))
USERS = ms.Users([0.5, 0.8], [100.0, 50.0], [1e-10, 1e-10], 0.02)


def bars(text):
    """Counts of every kind of column in each line of the picture that holds a bar."""
    rows = [line for line in text.splitlines() if re.match(r" {3}\d  |server", line)]
    return [{glyph: row.count(glyph) for glyph in (DRAFTING, UPLOAD, WAITING, VERIFICATION)} for row in rows]


def played(lengths=(3, 1), shares=(0.5, 0.5), users=USERS):
    decision = ms.Decision(lengths, shares)
    outcome = ms.play_round(users, CELL, decision)
    return decision, outcome, render_round(users, decision, outcome, "round 7 of 9")


def test_bars_are_as_long_as_the_times_that_they_show():
    _, outcome, text = played()
    column = float(outcome.latency) / BAR_WIDTH
    *users, server = bars(text)
    end = float((outcome.drafting_time + outcome.upload_time).max())
    for k, counts in enumerate(users):
        assert counts[DRAFTING] * column == pytest.approx(outcome.drafting_time[k], abs=column)
        assert counts[UPLOAD] * column == pytest.approx(outcome.upload_time[k], abs=column)
        waited = end - float(outcome.drafting_time[k] + outcome.upload_time[k])
        assert counts[WAITING] * column == pytest.approx(waited, abs=column)
        assert sum(counts.values()) * column == pytest.approx(end, abs=column)
    assert server[VERIFICATION] * column == pytest.approx(0.06, abs=column)


def test_the_picture_states_decision_tokens_and_goodput():
    decision, outcome, text = played()
    lines = text.splitlines()
    total = outcome.tokens.sum()
    assert lines[0] == (
        f"MultiSpin  round 7 of 9  {outcome.goodput:.1f} token/s = {total:.2f} tokens / {1e3 * outcome.latency:.1f} ms"
    )
    first = lines[4].split()
    assert first[:5] == ["1", "0.500", "100.0", "-100.0", "3"]
    assert first[5] == "50.0%"
    assert float(first[-1]) == pytest.approx(outcome.tokens[0], abs=0.005)
    assert lines[6].startswith("server    verification 60.0 ms")
    assert float(lines[6].split()[-1]) == pytest.approx(total, abs=0.005)
    assert decision.draft_lengths.tolist() == [3, 1]


@pytest.mark.parametrize("scale", [1e-3, 0.03, 1.0, 40.0, 1e5])
def test_the_time_axis_is_labelled_at_round_times(scale):
    cell = ms.Cell(10e6, 3.98e-21, 1e-3, ms.AffineVerification(fixed=scale))
    users = ms.Users([0.5], [1e6 / scale], [1e-10], 0.02)
    decision = ms.Decision([1], [1.0])
    outcome = ms.play_round(users, cell, decision)
    labels, ruler = render_round(users, decision, outcome, "").splitlines()[2:4]
    ticks = [match.start() for match in re.finditer("┬", ruler)]
    start = ruler.index("┬")
    assert labels[start : start + 4] == "0 ms"
    for tick in ticks[1:]:
        label = float(labels[tick:].split()[0])
        assert 1e-3 * label == pytest.approx((tick - start) / BAR_WIDTH * float(outcome.latency), abs=scale / BAR_WIDTH)
    assert 2 <= len(ticks) <= 7


def test_an_upload_that_never_ends_fills_the_axis():
    _, _, text = played(shares=(1.0, 0.0))
    assert "0.0 token/s" in text
    assert "never" in text
    first, second, server = bars(text)
    assert second[DRAFTING] + second[UPLOAD] == BAR_WIDTH
    assert sum(first.values()) == BAR_WIDTH
    assert server[VERIFICATION] == 0


def test_a_user_without_a_draft_only_waits():
    cell = ms.Cell(10e6, 3.98e-21, 16384.0, ms.AffineVerification(fixed=0.06), min_draft_length=0)
    decision = ms.Decision([3, 0], [1.0, 0.0])
    text = render_round(USERS, decision, ms.play_round(USERS, cell, decision), "")
    _, idle, _ = bars(text)
    assert idle[DRAFTING] == idle[UPLOAD] == 0
    assert idle[WAITING] > 0


def test_an_environment_shows_the_users_to_come_and_then_the_round_played():
    env = gym.make(ENV, num_users=3, num_rounds=2, render_mode="ansi")
    env.reset(seed=0)
    users = env.unwrapped.users
    before = env.render()
    assert "round 1 of 2 is about to be played" in before
    rows = [[float(x) for x in line.split()] for line in before.splitlines()[3:6]]
    expected = np.stack([[1, 2, 3], users.acceptance_rate, users.drafting_speed, 10 * np.log10(users.channel_gain)])
    np.testing.assert_allclose(rows, expected.T, atol=0.05)
    for number in (1, 2):
        _, goodput, *_ = env.step(env.action_space.sample())
        assert env.render().startswith(f"MultiSpin  round {number} of 2  {goodput:.1f} token/s")


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_a_vector_environment_shows_every_row_like_the_single_one(mode):
    envs = gym.make_vec(ENV, num_envs=2, num_users=3, num_rounds=2, render_mode="ansi", autoreset_mode=mode)
    single = gym.make(ENV, num_users=3, num_rounds=2, render_mode="ansi")
    envs.reset(seed=4)
    single.reset(seed=5)
    assert envs.render()[1] == single.render()
    for _ in range(2):
        actions = envs.action_space.sample()
        envs.step(actions)
        single.step(actions[1])
        assert envs.render()[1] == single.render()


def test_rows_that_were_reset_in_the_next_step_show_their_new_users():
    envs = gym.make_vec(ENV, num_envs=2, num_users=3, num_rounds=2, render_mode="ansi")
    single = gym.make(ENV, num_users=3, num_rounds=2, render_mode="ansi")
    envs.reset(seed=4)
    single.reset(seed=5)
    envs.step(envs.action_space.sample())
    envs.reset(options={"reset_mask": np.array([True, False])})
    for _ in range(2):
        envs.step(envs.action_space.sample())
    single.reset()
    first, second = envs.render()
    assert second == single.render()
    assert first.startswith("MultiSpin  round 2 of 2")


def test_rendering_without_a_mode_shows_nothing_and_says_so():
    env = gym.make(ENV).unwrapped
    envs = gym.make_vec(ENV, num_envs=2)
    for each in (env, envs):
        each.reset(seed=0)
        with pytest.warns(UserWarning, match="without a render mode"):
            assert each.render() is None

"""Pictures: what they show is as long, as wide and as many as the numbers say."""

import dataclasses

import numpy as np
import pytest

import multispin_gym as ms
from multispin_gym.baselines import make_controller
from multispin_gym.rendering import draw_round, draw_users
from multispin_gym.rendering.layout import AXIS, RIGHT, TOKENS, Layout
from multispin_gym.rendering.theme import DARK, LIGHT

CELL = ms.Cell(10e6, 3.98e-21, 16384.0, ms.AffineVerification(fixed=0.06), min_draft_length=0)
USERS = ms.Users([0.5, 0.8, 0.7], [100.0, 50.0, 80.0], [1e-10, 1e-10, 1e-11], 0.02)
WIDTH = RIGHT - AXIS


def played(lengths=(3, 1, 4), shares=(0.5, 0.2, 0.3), users=USERS, rng=None):
    decision = ms.Decision(lengths, shares)
    return users, decision, ms.play_round(users, CELL, decision, rng=rng)


def is_colour(frame, colour):
    return (frame == np.array(colour, np.uint8)).all(axis=-1)


def line(frame, layout, user, colour, offset=0.0):
    """Places on the time axis where a user's row has a colour, at some height from its middle."""
    return np.flatnonzero(is_colour(frame[round(layout.middle(user) + offset)], colour)[AXIS:RIGHT])


@pytest.mark.parametrize(("theme", "dark"), [(LIGHT, False), (DARK, True)])
def test_bars_are_as_long_as_the_times_that_they_show(theme, dark):
    users, decision, outcome = played()
    frame, layout = draw_round(users, decision, outcome, "", dark=dark), Layout(3)
    assert (frame.shape, frame.dtype) == ((720, 1280, 3), np.uint8)
    pixel = float(outcome.latency) / WIDTH
    for user in range(3):
        # Above the arrow that points at the last, the bar ends with an edge of three pixels.
        upload = line(frame, layout, user, theme.upload, -0.8 * layout.half)
        assert upload[0] * pixel == pytest.approx(outcome.drafting_time[user], abs=2 * pixel)
        end = (outcome.drafting_time + outcome.upload_time)[user]
        assert (upload[-1] + 1) * pixel == pytest.approx(end, abs=5 * pixel)
        drafting = line(frame, layout, user, theme.drafting)
        assert drafting[-1] < upload[0]
    server = np.flatnonzero(is_colour(frame[round(layout.server)], theme.verification))
    begun = float(outcome.latency - outcome.verification_time)
    assert (server[0] - AXIS) * pixel == pytest.approx(begun, abs=8 * pixel)
    assert server[-1] == pytest.approx(RIGHT, abs=8)


def test_the_server_begins_before_verification_and_downlink():
    cell = dataclasses.replace(CELL, downlink=320.0)
    users, decision, _ = played()
    outcome = ms.play_round(users, cell, decision)
    frame = draw_round(users, decision, outcome, "")
    server = np.flatnonzero(is_colour(frame[round(Layout(3).server)], LIGHT.verification))
    pixel = float(outcome.latency) / WIDTH
    begun = float((outcome.drafting_time + outcome.upload_time).max())
    assert outcome.downlink_time == 0.1
    assert (server[0] - AXIS) * pixel == pytest.approx(begun, abs=8 * pixel)


def test_the_user_whom_the_server_waits_for_is_marked_and_no_other():
    users, decision, outcome = played()
    frame, layout = draw_round(users, decision, outcome, ""), Layout(3)
    slowest = int(np.argmax(outcome.drafting_time + outcome.upload_time))
    assert [line(frame, layout, user, LIGHT.last).size > 0 for user in range(3)] == [k == slowest for k in range(3)]
    below = is_colour(frame[layout.band[1] - 2], LIGHT.last)
    assert below.sum() == pytest.approx(decision.bandwidth_shares[slowest] * (RIGHT - 90), abs=2)


@pytest.mark.parametrize("num_users", [2, 8, 20, 40])
def test_where_all_arrive_together_one_is_marked(num_users):
    scenario = ms.load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(0), num_users)
    decision = make_controller("heterogeneous")(users, scenario.cell)
    frame = draw_round(users, decision, ms.play_round(users, scenario.cell, decision), "")
    layout = Layout(num_users)
    assert sum(line(frame, layout, user, LIGHT.last).size > 0 for user in range(num_users)) == 1


def test_the_band_is_cut_into_the_shares_and_what_nobody_has_stays_empty():
    users, decision, outcome = played(shares=(0.5, 0.1, 0.15))
    frame, (top, _) = draw_round(users, decision, outcome, ""), Layout(3).band
    row = is_colour(frame[top + 3], LIGHT.upload)
    edges = np.flatnonzero(np.diff(row.astype(int)))
    starts, ends = edges[::2] + 1, edges[1::2] + 1
    np.testing.assert_allclose((ends - starts + 1) / (RIGHT - 90), [0.5, 0.1, 0.15], atol=2e-3)
    assert ends[-1] == pytest.approx(90 + 0.75 * (RIGHT - 90), abs=2)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_cells_are_filled_as_far_as_drafts_are_accepted(seed):
    users, decision, outcome = played(rng=None if seed is None else np.random.default_rng(seed))
    frame, layout = draw_round(users, decision, outcome, ""), Layout(3)
    for user in range(3):
        row = frame[round(layout.middle(user))][TOKENS:AXIS]
        length = int(decision.draft_lengths[user])
        outlines = np.flatnonzero(is_colour(row, LIGHT.muted))
        assert outlines.size == 2 * length
        inside = is_colour(row, LIGHT.accepted).sum()
        # Nine of the eleven pixels of a cell lie between its outlines.
        assert inside / 9.0 == pytest.approx(outcome.tokens[user] - 1.0, abs=0.25 * length)
        server = np.flatnonzero(is_colour(row, LIGHT.verification))
        assert server.size > 0
        assert server[0] >= outlines[-1]


def test_absent_users_have_no_bar_no_tokens_and_no_place_in_the_band():
    users, decision, outcome = played()
    frame = draw_round(users, decision, outcome, "", present=[True, False, True])
    layout = Layout(3)
    for colour in (LIGHT.upload, LIGHT.drafting, LIGHT.last):
        assert line(frame, layout, 1, colour).size == 0
    assert not is_colour(frame[round(layout.middle(1))][TOKENS:AXIS], LIGHT.verification).any()
    band = is_colour(frame[layout.band[0] + 3], LIGHT.upload).sum()
    assert band / (RIGHT - 90) == pytest.approx(0.8, abs=0.01)
    before = draw_users(users, "", present=[True, False, True])
    rows = [is_colour(before[round(Layout(3, whole=True).middle(user))], LIGHT.accepted).any() for user in range(3)]
    assert rows == [True, False, True]


def test_a_lost_upload_is_hatched_until_the_server_goes_on_without_it():
    far = ms.Users([0.5, 0.8, 0.7], [100.0, 50.0, 80.0], [1e-10, 1e-10, 1e-15], 0.02)
    users, decision, outcome = played(lengths=(3, 1, 1), users=far)
    slowest = int(np.argmax(outcome.drafting_time + outcome.upload_time))
    others = np.arange(3) != slowest
    cut = float((outcome.drafting_time + outcome.upload_time)[others].max())
    tokens = np.where(others, outcome.tokens, 0.0)
    late = dataclasses.replace(outcome, tokens=tokens, latency=np.array(cut + 0.06))
    frame, layout = draw_round(users, decision, late, "", lost=~others), Layout(3)
    assert line(frame, layout, slowest, LIGHT.upload).size == 0
    pixel = (cut + 0.06) / WIDTH
    hatched = line(frame, layout, slowest, LIGHT.lost, -0.8 * layout.half)
    assert (hatched[-1] + 1) * pixel == pytest.approx(cut, abs=8 * pixel)
    assert line(frame, layout, slowest, LIGHT.last).size == 0
    assert sum(line(frame, layout, user, LIGHT.last).size > 0 for user in np.flatnonzero(others)) == 1
    assert is_colour(frame[702], LIGHT.lost).any()
    assert not is_colour(draw_round(users, decision, outcome, "")[702], LIGHT.lost).any()


def test_an_upload_that_never_ends_reaches_the_end_of_the_axis_and_no_verification_begins():
    users, decision, outcome = played(shares=(0.5, 0.0, 0.5))
    frame, layout = draw_round(users, decision, outcome, ""), Layout(3)
    assert line(frame, layout, 1, LIGHT.upload, -0.8 * layout.half)[-1] >= WIDTH - 5
    assert not is_colour(frame[round(layout.server)], LIGHT.verification).any()


def test_the_gauge_is_filled_as_far_as_the_ratio_and_never_beyond():
    users, decision, outcome = played()
    goodput = float(outcome.goodput)

    def filled(**options):
        return is_colour(draw_round(users, decision, outcome, "", **options)[50], LIGHT.accepted).sum() / 240.0

    assert filled(optimum=2.0 * goodput) == pytest.approx(0.5, abs=0.01)
    assert filled(optimum=goodput, value=0.75 * goodput) == pytest.approx(0.75, abs=0.01)
    assert filled(optimum=0.5 * goodput) == 1.0
    assert filled() == filled(optimum=float("nan")) == 0.0


def test_users_to_come_are_shown_by_what_sets_them_apart():
    frame, layout = draw_users(USERS, ""), Layout(3, whole=True)
    lengths = {
        name: [is_colour(frame[round(layout.middle(user))], getattr(LIGHT, name)).sum() for user in range(3)]
        for name in ("accepted", "drafting", "upload")
    }
    ratio = np.array(lengths["accepted"]) / lengths["accepted"][1]
    np.testing.assert_allclose(ratio, USERS.acceptance_rate / 0.8, atol=0.01)
    ratio = np.array(lengths["drafting"]) / lengths["drafting"][0]
    np.testing.assert_allclose(ratio, USERS.drafting_speed / 100.0, atol=0.01)
    assert lengths["upload"][0] == lengths["upload"][1] > lengths["upload"][2]


@pytest.mark.parametrize("num_users", [1, 2, 8, 20, 40, 90, 600])
@pytest.mark.parametrize("dark", [False, True])
def test_rows_of_any_number_of_users_lie_above_the_band_and_do_not_meet(num_users, dark):
    scenario = ms.load_scenario("laptops_60ms")
    users = scenario.sample_users(np.random.default_rng(2), num_users)
    decision = make_controller("uniform_best")(users, scenario.cell)
    layout = Layout(num_users)
    draw_users(users, "", dark=dark)
    masks = {"present": np.arange(num_users) != 1, "lost": np.arange(num_users) == 2}
    outcome = ms.play_round(users, scenario.cell, decision)
    frame = draw_round(users, decision, outcome, "round 100 of 100", dark=dark, **masks)
    theme = DARK if dark else LIGHT
    assert is_colour(frame[110 : layout.bottom, AXIS:RIGHT], theme.upload).any()
    assert not is_colour(frame[layout.bottom : layout.band[0]], theme.upload).any()
    assert layout.band[0] - layout.bottom >= 24
    # Text up to forty users, in rows that are higher than it.
    assert (layout.text_size > 0) is (num_users <= 40)
    assert layout.text_size < layout.pitch
    if 1 < num_users <= 40:
        assert layout.pitch - 2 * layout.half >= 1.0


def test_a_round_without_drafts_and_one_without_any_time_are_drawn():
    users, decision, outcome = played(lengths=(0, 0, 0), shares=(0.0, 0.0, 0.0))
    frame = draw_round(users, decision, outcome, "")
    begun = np.flatnonzero(is_colour(frame[round(Layout(3).server)], LIGHT.verification))[0]
    assert begun == pytest.approx(AXIS, abs=8)
    nothing = dataclasses.replace(outcome, latency=np.zeros(()), verification_time=np.zeros(()), goodput=np.zeros(()))
    empty = draw_round(users, decision, nothing, "", optimum=0.0)
    assert not is_colour(empty[110 : Layout(3).bottom], LIGHT.last).any()


def test_a_note_that_finds_no_room_on_its_right_stands_on_its_left():
    users = ms.Users([0.5], [1.0], [1e-10], 0.02)
    quick = ms.Cell(10e6, 3.98e-21, 16384.0, ms.AffineVerification(fixed=1e-3))
    decision = ms.Decision([8], [1.0])
    outcome = ms.play_round(users, quick, decision)
    frame = draw_round(users, decision, outcome, "", lost=[True])
    middle = round(Layout(1).middle(0))
    written = np.argwhere(is_colour(frame[middle - 8 : middle + 8], LIGHT.lost))
    assert written[:, 1].max() < RIGHT


def luminance(colour):
    linear = np.where(
        np.array(colour) <= 10.31, np.array(colour) / 255 / 12.92, ((np.array(colour) / 255 + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# What lies side by side, told apart without colour: drafting and upload, upload and wait, text and grounds.
PAIRS = [
    ("drafting", "upload", 1.8),
    ("upload", "background", 3.0),
    ("upload", "waiting", 1.7),
    ("upload", "last", 1.2),
    ("on_upload", "upload", 4.5),
    ("ink", "background", 7.0),
    ("ink", "panel", 7.0),
    ("muted", "background", 4.5),
    ("muted", "panel", 4.5),
    ("accepted", "background", 3.0),
    ("lost", "background", 3.0),
]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("one", "other", "least"), PAIRS)
def test_neighbours_differ_in_luminance(theme, one, other, least):
    assert contrast(getattr(theme, one), getattr(theme, other)) >= least


def deuteranopic(colour):
    """Machado, Oliveira and Fernandes (2009), full severity, on linear red, green and blue."""
    matrix = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    linear = (np.array(colour) / 255) ** 2.2
    return 255 * np.clip(np.array(matrix) @ linear, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_stay_apart_for_readers_who_see_no_green(theme):
    names = ["drafting", "upload", "verification", "last", "accepted", "background"]
    seen = {name: deuteranopic(getattr(theme, name)) for name in names}
    apart = {(one, other): np.linalg.norm(seen[one] - seen[other]) for one in names for other in names if one < other}
    assert min(apart.values()) > 40.0, min(apart, key=apart.get)

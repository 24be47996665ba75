"""Episodes as files."""

import io
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

import multispin_gym as ms
from multispin_gym.baselines import certify, make_controller
from multispin_gym.rendering import draw_round, draw_users, render_episode, write_episode
from multispin_gym.rendering._optional import load

ENV = "multispin_gym/MultiSpin-v0"


@pytest.mark.parametrize("sampled", [False, True])
def test_the_pictures_of_an_episode_are_those_of_the_environment(sampled):
    options = {"num_users": 3, "num_rounds": 4, "sampled": sampled}
    env = gym.make(ENV, scenario="laptops_60ms", render_mode="rgb_array", **options).unwrapped
    env.reset(seed=7)
    expected, actions = [env.render()], [env.action_space.sample() for _ in range(4)]
    for action in actions:
        env.step(action)
        expected.append(env.render())
    rest = iter(actions)
    frames = render_episode(
        "laptops_60ms", lambda users, cell: env.decode_action(next(rest)), 7, 4, num_users=3, sampled=sampled
    )
    for one, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_controllers_are_drawn_beside_the_optimum_that_is_asked_for():
    scenario, controller = ms.load_scenario("laptops_60ms"), make_controller("heterogeneous")
    first, played = render_episode(scenario, controller, rounds=1, num_users=2, optimum="certificate", dark=True)
    env = gym.make(ENV, scenario=scenario, num_users=2, num_rounds=1).unwrapped
    env.reset(seed=0)
    users, decision = env.users, controller(env.users, env.cell)
    np.testing.assert_array_equal(first, draw_users(users, "round 1 of 1 is about to be played", dark=True))
    best = float(certify(users, env.cell).upper_bound)
    expected = draw_round(
        users, decision, ms.play_round(users, env.cell, decision), "round 1 of 1", optimum=best, dark=True
    )
    np.testing.assert_array_equal(played, expected)


def test_an_episode_has_the_scenarios_rounds_and_users_unless_told_otherwise():
    frames = render_episode("laptops_60ms", make_controller("uniform_best"), optimum="bound")
    assert sum(1 for _ in frames) == 1 + ms.load_scenario("laptops_60ms").num_rounds


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rounds": 0}, ValueError, "rounds must be a whole number"),
        ({"num_users": 0}, ValueError, "num_users must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be a whole number"),
        ({"optimum": "bond"}, ValueError, "Did you mean 'bound'"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_drawn(options, error, message):
    with pytest.raises(error, match=message):
        render_episode("laptops_60ms", make_controller("uniform_best"), **options)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (ms.Decision([1, 1], [0.5, 0.5]), r"a decision for 3 users, got one of shape \(2,\)"),
        (ms.Decision([[1, 1, 1]], [[0.3, 0.3, 0.3]]), r"got one of shape \(1, 3\)"),
        (ms.Decision([1, 1, 99], [0.3, 0.3, 0.3]), "draft_lengths must lie in"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(decision, message):
    with pytest.raises(ValueError, match=message):
        list(render_episode("laptops_60ms", lambda users, cell: decision, num_users=3, rounds=1))


@pytest.fixture(scope="module")
def frames():
    return list(render_episode("laptops_60ms", make_controller("heterogeneous"), rounds=2, num_users=3))


def test_a_png_is_the_last_picture(frames, tmp_path):
    write_episode(tmp_path / "new" / "round.PNG", iter(frames))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "round.PNG")), frames[-1])
    write_episode(str(tmp_path / "one.png"), frames[:1])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "one.png")), frames[0])


def test_a_gif_holds_every_picture_for_its_time(frames, tmp_path):
    write_episode(tmp_path / "episode.gif", frames, fps=5)
    with Image.open(tmp_path / "episode.gif") as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 200
        assert film.info["loop"] == 0
        for index, frame in enumerate(frames):
            film.seek(index)
            # 256 colours are fewer than there are, not by much.
            error = np.abs(np.asarray(film.convert("RGB")).astype(int) - frame)
            assert error.mean() < 3.0


def test_an_mp4_holds_every_picture(frames, tmp_path):
    import imageio_ffmpeg

    write_episode(tmp_path / "episode.mp4", frames, fps=4)
    decode = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-i",
        tmp_path / "episode.mp4",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    decoded = subprocess.run(decode, capture_output=True, check=True)
    assert b"1280x720" in decoded.stderr
    assert b" 4 fps" in decoded.stderr
    read = np.frombuffer(decoded.stdout, np.uint8).reshape(-1, 720, 1280, 3)
    assert len(read) == 3
    for one, frame in zip(read, frames, strict=True):
        assert np.abs(one.astype(int) - frame).mean() < 6.0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("episode.jpg", {}, r"ending must be one of \.png, \.gif, \.mp4; got '\.jpg'"),
        ("episode", {}, "ending must be one of"),
        ("episode.gif", {"fps": 0}, "fps must"),
        ("episode.gif", {"frames": []}, "at least one picture"),
    ],
)
def test_what_cannot_be_written_is_refused(frames, tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        write_episode(tmp_path / name, **{"frames": frames, **options})
    assert not list(tmp_path.iterdir())


def test_an_episode_that_breaks_off_leaves_no_file_and_the_old_one_whole(frames, tmp_path):
    def broken():
        yield frames[0]
        yield frames[1]
        raise RuntimeError("no more")

    for name in ("x.png", "x.gif", "x.mp4"):
        (tmp_path / name).write_bytes(b"old")
        with pytest.raises(RuntimeError, match="no more"):
            write_episode(tmp_path / name, broken())
        assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.gif", "x.mp4", "x.png"]


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from multispin_gym.rendering import write_episode
write_episode({name!r}, iter(()))
"""


@pytest.mark.parametrize(
    ("name", "missing", "hint"),
    [
        ("x.mp4", "imageio_ffmpeg", "pip install imageio-ffmpeg"),
        ("x.gif", "PIL", "pip install 'multispin-gym[render]'"),
    ],
)
def test_without_the_library_one_error_says_how_to_get_it(name, missing, hint, tmp_path):
    code = WITHOUT.format(missing=missing, name=name)
    finished = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    last = io.StringIO(finished.stderr).readlines()[-1].strip()
    assert last == f"ImportError: drawing needs {missing}, which is not installed: {hint}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("library", "hint"), [("pygame", "multispin-gym\\[render\\]"), ("imageio_ffmpeg", "imageio-ffmpeg")]
)
def test_a_library_that_cannot_be_imported_is_named_with_how_to_get_it(monkeypatch, library, hint):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"drawing needs {library}, which is not installed: pip install .*{hint}"):
        load(library)

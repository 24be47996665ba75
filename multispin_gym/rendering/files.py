"""Episodes as files: a picture, an animation or a film."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from multispin_gym._files import write_atomically
from multispin_gym._validation import MOST_ROUNDS, MOST_USERS, check_choice, check_integer, check_number
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision, check_lengths, compute_round
from multispin_gym.physics.users import Users
from multispin_gym.rendering._optional import load
from multispin_gym.rendering.canvas import Frame
from multispin_gym.rendering.picture import draw_round, draw_users
from multispin_gym.rendering.titles import title_before, title_of
from multispin_gym.scenarios.episodes import CellStreams
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

FORMATS = (".png", ".gif", ".mp4")
_REFERENCES = {"bound": "relaxation", "certificate": "certificate"}


def render_episode(
    scenario: str | PathLike[str] | Scenario,
    decide: Callable[[Users, Cell], Decision],
    seed: int = 0,
    rounds: int | None = None,
    *,
    num_users: int | None = None,
    sampled: bool = False,
    optimum: Literal["bound", "certificate"] | None = None,
    dark: bool = False,
) -> Iterator[Frame]:
    """Play an episode and draw it, picture by picture: the users about to play, then every round.

    The rounds are those of ``gymnasium.make("multispin_gym/MultiSpin-v0", ...)`` after ``reset(seed=seed)``.

    Parameters
    ----------
    scenario
        A scenario, or the name or path of one.
    decide
        Controller or agent: from users, shape (K,), and cell to a decision. One that plans ahead (``prepare``) is told
        the users' mean channel gains first.
    seed
        Seed of users, channels and acceptance.
    rounds
        Rounds of the episode; by default the scenario's.
    num_users
        Number of users K; by default the scenario's.
    sampled
        Whether tokens are sampled rather than expected.
    optimum
        What each round is compared with: nothing, ``"bound"``, an upper bound from the relaxation, or
        ``"certificate"``, a bound within 1e-6 of the best decision.
    dark
        Whether the background is dark.

    Returns
    -------
    iterator of numpy.ndarray
        Pictures, red, green and blue, uint8. Shape (720, 1280, 3) each.

    Raises
    ------
    ValueError
        If a value is out of range or unknown, or a decision does not fit the cell.
    ImportError
        If Pillow is not installed.
    """
    chosen = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    total = chosen.num_rounds if rounds is None else check_integer("rounds", rounds, low=1, high=MOST_ROUNDS)
    size = chosen.num_users if num_users is None else check_integer("num_users", num_users, low=1, high=MOST_USERS)
    streams = CellStreams(chosen, size, 1, total, sampled)
    streams.seed(0, check_integer("seed", seed, low=0))
    return _frames(streams, total, decide, _optimum(optimum), dark)


def _optimum(name: str | None) -> Callable[[Users, Cell], float] | None:
    """Return the function that gives a round's optimum, if one is asked for."""
    if name is None:
        return None
    # Loaded only where somebody asks: drawing does without the solvers.
    from multispin_gym.baselines.reference import Reference

    reference = Reference(_REFERENCES[check_choice("optimum", name, _REFERENCES)])
    return lambda users, cell: float(reference.goodput(users, cell, Objective("sum")))


def _frames(
    streams: CellStreams,
    total: int,
    decide: Callable[[Users, Cell], Decision],
    optimum: Callable[[Users, Cell], float] | None,
    dark: bool,
) -> Iterator[Frame]:
    cell = streams.scenario.cell
    streams.begin(np.zeros(1, dtype=np.int64))
    from multispin_gym.baselines.protocols import Preparable

    if isinstance(decide, Preparable):
        decide = decide.prepare(streams.mean_users[0], streams.scenario)
    yield draw_users(streams.users[0], title_before(1, total), dark=dark)
    for number in range(1, total + 1):
        users, uniforms = streams.users[0], streams.uniforms
        decision = decide(users, cell)
        shape = decision.draft_lengths.shape
        if shape != (users.num_users,):
            raise ValueError(f"decide must return a decision for {users.num_users} users, got one of shape {shape}")
        check_lengths(decision.draft_lengths, cell)
        outcome = compute_round(users, cell, decision, None if uniforms is None else uniforms[0])
        best = None if optimum is None else optimum(users, cell)
        yield draw_round(users, decision, outcome, title_of(number, total), optimum=best, dark=dark)
        streams.advance()


def write_episode(path: str | PathLike[str], frames: Iterable[Frame], fps: float = 4.0) -> None:
    """Write pictures into a file, whole or not at all.

    Parameters
    ----------
    path
        A name that ends in ``.png`` (the last picture), ``.gif`` (an animation) or ``.mp4`` (a film).
    frames
        Pictures, uint8, as :func:`render_episode` yields them. Shape (720, 1280, 3) each.
    fps
        Pictures a second.

    Raises
    ------
    ValueError
        If the name ends otherwise, there is no picture, or ``fps`` is not positive.
    ImportError
        If Pillow, or for a film imageio-ffmpeg, is not installed.
    """
    target = Path(path)
    kind = check_choice("ending", target.suffix.lower(), FORMATS)
    check_number("fps", fps, low=0.0, low_open=True)
    # What is missing is said before the first picture is drawn.
    load("imageio_ffmpeg" if kind == ".mp4" else "PIL.Image")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("frames must hold at least one picture, got none")
    data = {".png": _png, ".gif": _gif, ".mp4": _mp4}[kind](first, iterator, fps)
    write_atomically(target.parent, {target.name: data})


def _png(first: Frame, others: Iterator[Frame], fps: float) -> bytes:
    for frame in others:
        first = frame
    buffer = io.BytesIO()
    load("PIL.Image").fromarray(first).save(buffer, format="png")
    return buffer.getvalue()


def _gif(first: Frame, others: Iterator[Frame], fps: float) -> bytes:
    image, buffer = load("PIL.Image"), io.BytesIO()
    rest = (image.fromarray(frame) for frame in others)
    settings = {"save_all": True, "append_images": rest, "duration": max(20, round(1e3 / fps)), "loop": 0}
    image.fromarray(first).save(buffer, format="gif", **settings)
    return buffer.getvalue()


def _mp4(first: Frame, others: Iterator[Frame], fps: float) -> bytes:
    height, width = first.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        writer = load("imageio_ffmpeg").write_frames(str(path), (width, height), fps=fps, codec="libx264", quality=8)
        # Closed before its folder goes, also where an episode breaks off: the encoder ends with its last picture.
        with closing(writer) as film:
            film.send(None)
            film.send(np.ascontiguousarray(first))
            for frame in others:
                film.send(np.ascontiguousarray(frame))
        return path.read_bytes()

"""What environments show of their rounds: text, pictures, or a window of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import nearest
from multispin_gym.envs.game import Game, PlayedRound
from multispin_gym.physics.rounds import Decision
from multispin_gym.rendering.canvas import Frame
from multispin_gym.rendering.picture import draw_round, draw_users
from multispin_gym.rendering.text import render_round, render_users
from multispin_gym.rendering.titles import title_before, title_of
from multispin_gym.rendering.window import Window

RENDER_MODES = ("ansi", "rgb_array", "human")
RENDER_FPS = 4
# More in one window are too small to be read.
ROWS_IN_WINDOW = 4


def known_render_mode(render_mode: str | None) -> str | None:
    """Return a render mode, or, with a warning, None in place of an unknown one."""
    if render_mode is None or render_mode in RENDER_MODES:
        return render_mode
    gym.logger.warn(
        f"render_mode must be one of {', '.join(RENDER_MODES)}; got {render_mode!r}, which shows nothing."
        f"{nearest(str(render_mode), RENDER_MODES)}"
    )
    return None


class View:
    """Shows the rows of a game.

    Parameters
    ----------
    game
        The game.
    mode
        A render mode.
    """

    def __init__(self, game: Game, mode: str | None) -> None:
        self._game = game
        self._mode = mode
        self._window = Window()

    def show(self, rounds: Sequence[PlayedRound | None]) -> tuple[str, ...] | tuple[Frame, ...] | None:
        """Show the round that each of the first rows played last, or where there is none the users about to play."""
        if self._mode is None:
            gym.logger.warn(
                "render() shows nothing without a render mode; give make a render_mode, such as 'rgb_array'"
            )
            return None
        if self._mode == "human":
            self._window.show(self._pictures(rounds[:ROWS_IN_WINDOW]), RENDER_FPS)
            return None
        if self._mode == "rgb_array":
            return self._pictures(rounds)
        return tuple(self._text(played, row) for row, played in enumerate(rounds))

    def close(self) -> None:
        """Close the window."""
        self._window.close()

    def _title(self, played: PlayedRound | None, row: int) -> str:
        game = self._game
        if played is None:
            return title_before(int(game.elapsed[row]) + 1, *game.shown_limits(row, None))
        return title_of(int(played.before[row]) + 1, *game.shown_limits(row, played))

    def _text(self, played: PlayedRound | None, row: int) -> str:
        title = self._title(played, row)
        if played is None:
            return render_users(self._game.users[row], title)
        return render_round(played.users[row], _decision(played, row), played.outcome[row], title)

    def _pictures(self, rounds: Sequence[PlayedRound | None]) -> tuple[Frame, ...]:
        return tuple(self._picture(played, row) for row, played in enumerate(rounds))

    def _picture(self, played: PlayedRound | None, row: int) -> Frame:
        title = self._title(played, row)
        if played is None:
            return draw_users(self._game.users[row], title)
        outcome = played.outcome[row]
        optimum = None if played.optimum is None else float(played.optimum[row])
        value = float(self._game.rule.goodput(outcome))
        return draw_round(played.users[row], _decision(played, row), outcome, title, optimum=optimum, value=value)


def _decision(played: PlayedRound, row: int) -> Decision:
    return Decision.trusted(played.decision.draft_lengths[row], played.decision.bandwidth_shares[row])


class VectorDisplay:
    """The part of a vector environment that remembers what its rows played, and shows it."""

    render_mode: str | None
    num_envs: int
    _view: View
    _played: PlayedRound | None
    _begun: NDArray[np.bool_]

    def _remember(self, played: PlayedRound) -> None:
        """Keep a round for :meth:`render`."""
        if self.render_mode is not None:
            self._played, self._begun = played, np.zeros(self.num_envs, dtype=np.bool_)

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    def render(self) -> tuple[str, ...] | tuple[Frame, ...] | None:
        """Show the round just played in every row, or after a reset the users about to play.

        Returns
        -------
        tuple of str or of numpy.ndarray, or None
            One for each row, as :meth:`multispin_gym.envs.single.MultiSpinEnv.render` returns it; in mode ``"human"``
            None, and the window shows the first four rows.

        Raises
        ------
        ImportError
            If Pillow or pygame is needed and not installed.
        """
        begun = self._begun.tolist()
        return self._view.show([None if new else self._played for new in begun])

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one.

        Parameters
        ----------
        **kwargs
            Not used.
        """
        # Some releases of Gymnasium close an environment when it is deleted, even one whose arguments were refused.
        if hasattr(self, "_view"):
            self._view.close()

"""Pictures of a round, drawn from physics alone: below the environments, which show them by ``render``.

As text, as pictures and as files. Pillow and pygame are loaded when something is drawn; ``[render]`` brings them.
"""

from multispin_gym.rendering.files import render_episode, write_episode
from multispin_gym.rendering.picture import draw_round, draw_users
from multispin_gym.rendering.text import render_round, render_users

__all__ = ["draw_round", "draw_users", "render_episode", "render_round", "render_users", "write_episode"]

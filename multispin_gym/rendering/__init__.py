"""Pictures of a round, drawn from physics alone: below the environments, which show them by ``render``."""

from multispin_gym.rendering.text import render_round, render_users

__all__ = ["render_round", "render_users"]

"""Pictures of a round. Above the environments, so that every one of them can be drawn; loaded only by who looks."""

from multispin_gym.rendering.text import render_round, render_users

__all__ = ["render_round", "render_users"]

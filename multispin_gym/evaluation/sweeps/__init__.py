"""Sweeps: an evaluation at every point of a grid, whose axes are keys of the scenario's file.

From the bottom up: axes as they are typed, the grid with a plan for every point, the play of all points on a runner,
what was found, pictures, files, and the command.
"""

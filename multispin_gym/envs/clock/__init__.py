"""The parts of environments in which time passes: channels that age, requests that come and go, what they are given.

A game is a composition of them, switched on and off by the scenario's clock and the environment's arguments.
"""

"""The command ``multispin``: a table of verbs, each a function of the library that takes a command line.

Above everything else: a verb may use whatever the library has, and nothing of the library knows of the verbs.
"""

from multispin_gym.commands.verbs import VERBS, Verb, main

__all__ = ["VERBS", "Verb", "main"]

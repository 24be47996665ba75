"""Evaluation where time passes: every policy plays its own episodes, from the same seeds.

What is measured is what the task pays and what the users of requests feel.
"""

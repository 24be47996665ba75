"""Policies compared on common random numbers: played open or closed loop, tallied, aggregated and reported.

Agents are loaded from here by name, by one import inside a function; nothing else below knows of the evaluation.
"""

from multispin_gym.envs.functions import as_policy
from multispin_gym.evaluation.evaluator import MOST_USERS_CERTIFIED, REFERENCES, ReferenceExceededError, evaluate
from multispin_gym.evaluation.results import Alarm, EvaluationResult, PolicyResult
from multispin_gym.evaluation.service.measures import ServiceMeasures
from multispin_gym.evaluation.service.result import ServiceResult

__all__ = [
    "MOST_USERS_CERTIFIED",
    "REFERENCES",
    "Alarm",
    "EvaluationResult",
    "PolicyResult",
    "ReferenceExceededError",
    "ServiceMeasures",
    "ServiceResult",
    "as_policy",
    "evaluate",
]

"""Controllers that estimate what they do not see, and rules for tasks in which time passes."""

from multispin_gym.baselines.estimators.beliefs import believed_users
from multispin_gym.baselines.estimators.registry import estimator_summaries, list_estimators, make_estimator

__all__ = ["believed_users", "estimator_summaries", "list_estimators", "make_estimator"]

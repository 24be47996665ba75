"""The environments in which acceptance rates are hidden, single and vector."""

from __future__ import annotations

from multispin_gym.envs.arguments import documented
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import HIDDEN
from multispin_gym.envs.vector import MultiSpinVectorEnv


@documented
class MultiSpinHiddenEnv(MultiSpinEnv):
    """Draft control where every request has an acceptance rate of its own that nobody knows.

    As :class:`MultiSpinEnv`, but time passes in seconds and users work through requests: one that has all its tokens is
    replaced at once by the same device's next, with another task, length and acceptance rate, which is drawn from the
    law of its task. The task is observed, the rate is not; what was drafted and accepted so far tells of it.

    ## Observation Space

    `channel_gain_db` and `drafting_speed` as in :class:`MultiSpinEnv`, and float32 arrays of shape (K,):

    | Key                | Meaning                                                     | Unit  | Min | Max             |
    |--------------------|-------------------------------------------------------------|-------|-----|-----------------|
    | `task`             | Index of the request's task in the scenario's `acceptance`  | 1     | 0   | tasks - 1       |
    | `drafted_count`    | Drafted tokens of the request that were verified            | token | 0   | 2**24           |
    | `accepted_count`   | Those of them that were accepted                            | token | 0   | 2**24           |
    | `remaining_tokens` | Tokens of it to come; left out with `length_known=False`    | token | 0   | longest request |
    | `request_age`      | Time since it began                                         | s     | 0   | an episode      |

    Tokens are always sampled, and nothing in the reward or in info tells more of a rate than they do.
    `env.unwrapped.users` is the truth, for controllers that are to be clairvoyant.

    ## Rewards

    The tokens delivered in the round; `reward` names other payments.

    ## Action Space, Episode End, Info

    As in :class:`multispin_gym.envs.deadline.MultiSpinDeadlineEnv`; nobody is ever absent.

    ## Version History

    * v0: Initial version.

    ## Arguments

    Parameters
    ----------
    {arguments}

    Examples
    --------
    >>> import gymnasium as gym
    >>> import multispin_gym
    >>> env = gym.make("multispin_gym/MultiSpinHidden-v0")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> env.observation_space.contains(observation)
    True
    """

    variant = HIDDEN


@documented
class MultiSpinHiddenVectorEnv(MultiSpinVectorEnv):
    """Many independent cells in which acceptance rates are hidden.

    The vector form of :class:`multispin_gym.envs.hidden.MultiSpinHiddenEnv`.

    Parameters
    ----------
    num_envs
        Number of cells N.
    {arguments}
    autoreset_mode
        See :class:`MultiSpinVectorEnv`.
    max_episode_steps
        Ends episodes earlier than ``num_rounds``.
    """

    variant = HIDDEN

"""The environments in which requests come with deadlines, single and vector."""

from __future__ import annotations

from multispin_gym.envs.arguments import documented
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import DEADLINE
from multispin_gym.envs.vector import MultiSpinVectorEnv


@documented
class MultiSpinDeadlineEnv(MultiSpinEnv):
    """Draft control where requests come, have a length and a deadline, and leave.

    As :class:`MultiSpinEnv`, but time passes in seconds: a round lasts its latency, channels age by it, requests arrive
    while it lasts and enter at the start of the next. At most K are present; the others wait in a queue, first come
    first served, or are refused where it is full: whoever comes waits for the round to end, and takes no place in the
    queue if a slot is free meanwhile. A request leaves when all its tokens are there, or at the first round
    boundary after its deadline. Where nobody is present, the clock moves on to the next arrival.

    ## Action Space

    That of :class:`MultiSpinEnv`; entries of absent users have no effect, and the band is split among the others. With
    `admission=True` K further entries: above 0 they give the user's request up at once, or hold a place that is empty
    for another round while others wait. Where nobody else would be present, no place is held.

    ## Observation Space

    Besides `acceptance_rate`, `channel_gain_db` and `drafting_speed`, float32 arrays of shape (K,), which hold the
    least value of their range where a user is absent:

    | Key                | Meaning                                                     | Unit  | Min | Max             |
    |--------------------|-------------------------------------------------------------|-------|-----|-----------------|
    | `present`          | Whether there is a request                                  | 1     | 0   | 1               |
    | `remaining_tokens` | Tokens of it to come; left out with `length_known=False`    | token | 0   | longest request |
    | `request_age`      | Time since it arrived                                       | s     | 0   | an episode      |
    | `time_to_deadline` | Time until it should end                                    | s     | 0   | longest allowed |
    | `queue_length`     | Requests that wait, shape (1,)                              | 1     | 0   | 4 K             |

    ## Rewards

    One for each request that ends before its deadline; `reward` names other payments.

    ## Episode End

    Truncation with the first round that ends after `episode_seconds`; never termination. The time left is not observed.

    ## Info

    The keys of :class:`MultiSpinEnv`, of which `latency` is a step's duration, any wait for the next arrival included,
    and of the round just played, per user (arrays): `present`, `verified`, `drafted`, `delivered`, `surplus`,
    `rejected`, `lost`, `given_up`, `finished`, `on_time`, `finished_tokens`, `time_to_first_token` and
    `time_per_token` (s; the last three of requests that ended, else 0); and of the time after it: `arrived`, `refused`,
    `expired`, `waited` (s) and `time`, the clock. In every round and for each user
    ``drafted + verified = delivered + surplus + rejected + lost``. `drafting_time` and `upload_time` of a draft that
    was cut off end there. After a reset `time`, `waited` and `latency` say how long it took for somebody to come, and
    `arrived` who did, so that in every episode, the reset included, latencies add up to `time` and arrivals to those
    refused, expired, given up, finished, waiting or present.

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
    >>> env = gym.make("multispin_gym/MultiSpinDeadline-v0")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> bool(info["time"] >= info["latency"] > 0.0)
    True
    """

    variant = DEADLINE


@documented
class MultiSpinDeadlineVectorEnv(MultiSpinVectorEnv):
    """Many independent cells in which requests come with deadlines.

    The vector form of :class:`multispin_gym.envs.deadline.MultiSpinDeadlineEnv`.

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

    variant = DEADLINE

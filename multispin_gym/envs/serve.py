"""The environments in which all of it comes at once, single and vector."""

from __future__ import annotations

from multispin_gym.envs.arguments import documented
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import SERVE
from multispin_gym.envs.vector import MultiSpinVectorEnv


@documented
class MultiSpinServeEnv(MultiSpinEnv):
    """Draft control of a cell that serves requests: they come in bursts, with deadlines, and little is known of them.

    Everything at once: requests come and go as in :class:`multispin_gym.envs.deadline.MultiSpinDeadlineEnv`, their
    acceptance rates are hidden as in :class:`multispin_gym.envs.hidden.MultiSpinHiddenEnv`, and channel reports are old
    and uploads can be cut off as in :class:`multispin_gym.envs.stale.MultiSpinStaleEnv`, where actions and observations
    are described.

    ## Action Space

    A `Box(-1, 1, (2 K + 1,), float32)`: lengths, shares and the cut-off; with `admission=True` K further entries before
    the cut-off.

    ## Observation Space

    `drafting_speed`, `reported_channel_gain_db`, `report_age`, `task`, `drafted_count`, `accepted_count`, `present`,
    `remaining_tokens`, `request_age` and `time_to_deadline`, of shape (K,), and `queue_length`, of shape (1,).

    ## Rewards

    All tokens of a request when it ends before its deadline; `reward` names other payments.

    ## Episode End, Info

    As in :class:`multispin_gym.envs.deadline.MultiSpinDeadlineEnv`.

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
    >>> env = gym.make("multispin_gym/MultiSpinServe-v0")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> env.observation_space.contains(observation)
    True
    """

    variant = SERVE


@documented
class MultiSpinServeVectorEnv(MultiSpinVectorEnv):
    """Many independent cells that serve requests.

    The vector form of :class:`multispin_gym.envs.serve.MultiSpinServeEnv`.

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

    variant = SERVE

"""The environments in which one draft length serves all users of a cell, single and vector."""

from __future__ import annotations

from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.vector import MultiSpinVectorEnv


class MultiSpinHomogeneousEnv(MultiSpinEnv):
    """Draft control with one draft length for all users of the cell.

    As :class:`MultiSpinEnv` in everything but the action.

    ## Action Space

    A `Box(-1, 1, (K + 1,), float32)`; entries outside are clipped to it, NaN is refused.

    | Entries    | Meaning                                                                                       |
    |------------|-----------------------------------------------------------------------------------------------|
    | 0          | The common draft length: [-1, 1] is cut into equal bins, one for each length the cell allows   |
    | 1 .. K     | Logits of the bandwidth shares: a softmax of 6 x entry over the users                          |

    ## Version History

    * v0: Initial version.

    ## Arguments

    Parameters
    ----------
    scenario
        A scenario, or the name or path of one; see :func:`multispin_gym.list_scenarios`.
    num_users
        Number of users K; by default the scenario's.
    num_rounds
        Rounds of an episode; by default the scenario's.
    sampled
        Whether tokens are sampled rather than expected.
    max_time
        Seconds of play after which an episode ends, with the round that reaches them; the number of rounds is then
        not limited unless ``num_rounds`` is given.
    reward
        ``"goodput"``, ``"ratio"`` (goodput over the round's optimum), ``"tokens"`` (which add up to the long-run
        goodput where episodes end after a time) or ``"proportional_fair"`` (the sum of the logarithms of the users'
        token rates).
    optimum
        ``True`` or ``"bound"`` puts an upper bound on the round's goodput into info, ``"certificate"`` one within 1e-6
        of the best decision.
    weights
        Weights of the users' tokens in the reward and the optimum, one for each user; all one by default.
    render_mode
        ``"ansi"``: :meth:`render` returns the round as text; None: no rendering.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import multispin_gym
    >>> env = gym.make("multispin_gym/MultiSpinHomogeneous-v0", num_users=4)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> len(set(info["draft_lengths"].tolist()))
    1
    """

    homogeneous = True


class MultiSpinHomogeneousVectorEnv(MultiSpinVectorEnv):
    """Many independent cells in which one draft length serves all users of a cell.

    The vector form of :class:`multispin_gym.envs.single.MultiSpinHomogeneousEnv`.

    Parameters
    ----------
    num_envs
        Number of cells N.
    scenario
        A scenario, or the name or path of one.
    num_users
        Number of users K; by default the scenario's.
    num_rounds
        Rounds of an episode; by default the scenario's.
    sampled
        Whether tokens are sampled rather than expected.
    max_time
        Seconds of play after which an episode ends, with the round that reaches them; the number of rounds is then
        not limited unless ``num_rounds`` is given.
    reward
        ``"goodput"``, ``"ratio"`` (goodput over the round's optimum), ``"tokens"`` (which add up to the long-run
        goodput where episodes end after a time) or ``"proportional_fair"`` (the sum of the logarithms of the users'
        token rates).
    optimum
        ``True`` or ``"bound"`` puts an upper bound on the round's goodput into info, ``"certificate"`` one within 1e-6
        of the best decision.
    weights
        Weights of the users' tokens in the reward and the optimum, one for each user; all one by default.
    render_mode
        ``"ansi"`` or None.
    autoreset_mode
        See :class:`MultiSpinVectorEnv`.
    max_episode_steps
        Ends episodes earlier than ``num_rounds``.
    """

    homogeneous = True

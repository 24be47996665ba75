"""The environments in which one draft length serves all users of a cell, single and vector."""

from __future__ import annotations

from multispin_gym.envs.arguments import documented
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import HOMOGENEOUS
from multispin_gym.envs.vector import MultiSpinVectorEnv


@documented
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
    {arguments}

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

    variant = HOMOGENEOUS


@documented
class MultiSpinHomogeneousVectorEnv(MultiSpinVectorEnv):
    """Many independent cells in which one draft length serves all users of a cell.

    The vector form of :class:`multispin_gym.envs.single.MultiSpinHomogeneousEnv`.

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

    variant = HOMOGENEOUS

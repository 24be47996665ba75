"""The environments with old channel reports and a cut-off, single and vector."""

from __future__ import annotations

from multispin_gym.envs.arguments import documented
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import STALE
from multispin_gym.envs.vector import MultiSpinVectorEnv


@documented
class MultiSpinStaleEnv(MultiSpinEnv):
    """Draft control by old and noisy channel reports, with a cut-off for uploads.

    As :class:`MultiSpinEnv`, but time passes in seconds, channels age by each round's latency, and what is known of
    them was measured `report_age` seconds ago, with an error of `report_noise_db`. The action says as well until when
    the server waits: a draft that is not in by then is lost, its user gets no token in this round and has no place in
    the batch. Users stay; their answers do not end.

    ## Action Space

    A `Box(-1, 1, (2 K + 1,), float32)`: that of :class:`MultiSpinEnv`, and last the cut-off: [-1, 1] mapped to the
    logarithm of [`cutoff_min`, `cutoff_max`] of the scenario's clock, s from the start of the round; at 1 there is none
    but the `round_timeout`.

    ## Observation Space

    `acceptance_rate` and `drafting_speed` as in :class:`MultiSpinEnv`, and

    | Key                        | Meaning                               | Unit | Min | Max          |
    |----------------------------|---------------------------------------|------|-----|--------------|
    | `reported_channel_gain_db` | Uplink gain as it was measured        | dB   | as `channel_gain_db` |   |
    | `report_age`               | How long ago                          | s    | 0   | `report_age` |

    `env.unwrapped.users` is the truth, for controllers that are to be clairvoyant.

    ## Rewards

    The tokens of the round, sampled; `reward` names other payments.

    ## Episode End, Info

    As in :class:`multispin_gym.envs.deadline.MultiSpinDeadlineEnv`: `verified` says whose draft was in, `lost` how many
    drafted tokens were not.

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
    >>> env = gym.make("multispin_gym/MultiSpinStale-v0")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    >>> env.observation_space.contains(observation)
    True
    """

    variant = STALE


@documented
class MultiSpinStaleVectorEnv(MultiSpinVectorEnv):
    """Many independent cells with old channel reports and a cut-off.

    The vector form of :class:`multispin_gym.envs.stale.MultiSpinStaleEnv`.

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

    variant = STALE

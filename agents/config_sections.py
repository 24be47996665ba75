"""The sections of a training run's configuration: the policy, PPO and cloning, with a range for every number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

from multispin_gym._validation import MOST_ROWS, MOST_USERS, check_choice, check_integer, check_list, check_number
from multispin_gym.baselines.registry import list_controllers

Schedule = Literal["constant", "linear", "cosine"]
SCHEDULES = ("constant", "linear", "cosine")
LengthDistribution = Literal["categorical", "ordinal", "sequential"]
LENGTH_DISTRIBUTIONS = ("categorical", "ordinal", "sequential")
# Width times width times depth: the weights then take up to 200 MB.
MOST_WIDE = 2**24


def _user_counts(name: str, value: Any) -> tuple[int, ...]:
    return tuple(check_integer(name, count, low=1, high=MOST_USERS) for count in check_list(name, value))


@dataclass(frozen=True)
class PolicyConfig:
    """Shape of the equivariant policy.

    Parameters
    ----------
    width
        Width of the actor's layers.
    depth
        Number of deep-sets layers of actor and critic.
    critic_width
        Width of the critic's layers.
    lengths
        Distribution of the draft lengths: ``"categorical"`` (a logit per length), ``"ordinal"`` (a discretised
        normal: neighbouring lengths learn from each other), or ``"sequential"`` (categorical, one user after the other
        in the light of what the server's time would be: for servers whose time has steps).
    share_reference
        What the share logits are relative to: ``"equal"`` shares, the ``"demand"`` of the chosen lengths, or the
        ``"equal_finish"`` shares of the chosen lengths.
    share_std
        Initial standard deviation of the share logits.
    shares
        ``"learned"``: the shares are drawn around what the network adds to the reference; ``"exact"``: they are those
        with which the chosen drafts all finish together, and only the lengths are learned.
    """

    width: int = 32
    depth: int = 2
    critic_width: int = 32
    lengths: LengthDistribution = "categorical"
    share_reference: Literal["equal", "demand", "equal_finish"] = "equal_finish"
    share_std: float = 0.05
    shares: Literal["learned", "exact"] = "learned"

    def __post_init__(self) -> None:
        for name in ("width", "critic_width"):
            check_integer(f"policy.{name}", getattr(self, name), low=1, high=4096)
        check_integer("policy.depth", self.depth, low=1, high=64)
        for name in ("width", "critic_width"):
            width = getattr(self, name)
            if width * width * self.depth > MOST_WIDE:
                raise ValueError(
                    f"policy.{name} x policy.{name} x policy.depth must lie in [1, {MOST_WIDE}], got "
                    f"{width} x {width} x {self.depth}"
                )
        check_choice("policy.lengths", self.lengths, LENGTH_DISTRIBUTIONS)
        check_choice("policy.share_reference", self.share_reference, ("equal", "demand", "equal_finish"))
        check_number("policy.share_std", self.share_std, low=5e-3, high=0.5)
        check_choice("policy.shares", self.shares, ("learned", "exact"))
        if self.shares == "exact" and self.share_reference != "equal_finish":
            raise ValueError(
                f"policy.share_reference must be 'equal_finish' where policy.shares is 'exact', got "
                f"{self.share_reference!r}"
            )


@dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of PPO.

    Parameters
    ----------
    num_envs
        Rows of the vector environment.
    num_users
        Numbers of users that updates take turns with; by default the run's own. Evaluations are at the run's own.
    rollout_steps
        Rounds played in each row between two updates.
    batch_size
        Rounds in a minibatch.
    num_epochs
        Passes over the rounds of an update.
    learning_rate
        Adam's initial learning rate.
    learning_rate_schedule
        How it falls over the run: ``"constant"``, ``"linear"`` or ``"cosine"``, the last two to 0.
    entropy_coefficient
        Initial weight of the entropy bonus.
    entropy_schedule
        How the weight falls over the run.
    clip_range
        Range of the probability ratio beyond which the objective is flat.
    value_coefficient
        Weight of the critic's loss.
    discount
        Discount factor; 0 makes each round a decision of its own (a contextual bandit).
    gae_lambda
        Decay of the advantage estimator; without effect at discount 0.
    reward_unit
        What rewards are counted in: ``"server_only"`` (the goodput without drafts, one number for all rounds),
        ``"homogeneous"`` (the best common draft length of the same round, which the critic then need not predict) or
        ``"optimum"`` (the certified optimum of the same round, or the relaxation's bound beyond 12 users: slow).
    max_gradient_norm
        Gradients are scaled down to this norm.
    """

    num_envs: int = 1024
    num_users: tuple[int, ...] = ()
    rollout_steps: int = 4
    batch_size: int = 512
    num_epochs: int = 3
    learning_rate: float = 4e-3
    learning_rate_schedule: Schedule = "linear"
    entropy_coefficient: float = 0.03
    entropy_schedule: Schedule = "linear"
    clip_range: float = 0.2
    value_coefficient: float = 0.5
    discount: float = 0.0
    gae_lambda: float = 1.0
    reward_unit: Literal["server_only", "homogeneous", "optimum"] = "server_only"
    max_gradient_norm: float = 0.5

    def __post_init__(self) -> None:
        check_integer("ppo.num_envs", self.num_envs, low=1, high=MOST_ROWS)
        object.__setattr__(self, "num_users", _user_counts("ppo.num_users", self.num_users))
        check_integer("ppo.rollout_steps", self.rollout_steps, low=1, high=2**20)
        check_integer("ppo.num_epochs", self.num_epochs, low=1, high=1000)
        if self.rollout_size < 2:
            raise ValueError("ppo.num_envs times ppo.rollout_steps must be at least 2, got 1")
        size = check_integer("ppo.batch_size", self.batch_size, low=2)
        if self.rollout_size % size:
            raise ValueError(
                f"ppo.batch_size must divide ppo.num_envs x ppo.rollout_steps = {self.rollout_size}, got {size}"
            )
        check_number("ppo.learning_rate", self.learning_rate, low=0.0, high=1.0, low_open=True)
        check_number("ppo.entropy_coefficient", self.entropy_coefficient, low=0.0, high=10.0)
        check_number("ppo.clip_range", self.clip_range, low=0.0, high=1.0, low_open=True)
        check_number("ppo.value_coefficient", self.value_coefficient, low=0.0, high=100.0)
        check_number("ppo.discount", self.discount, low=0.0, high=1.0)
        check_number("ppo.gae_lambda", self.gae_lambda, low=0.0, high=1.0)
        check_number("ppo.max_gradient_norm", self.max_gradient_norm, low=0.0, low_open=True)
        check_choice("ppo.learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        check_choice("ppo.reward_unit", self.reward_unit, ("server_only", "homogeneous", "optimum"))
        check_choice("ppo.entropy_schedule", self.entropy_schedule, SCHEDULES)

    @property
    def reward(self) -> str:
        """Former name of ``reward_unit``."""
        return self.reward_unit

    @property
    def rollout_size(self) -> int:
        """Rounds played between two updates."""
        return self.num_envs * self.rollout_steps


def _take_former_name(former: str, today: str) -> None:
    """Let :class:`PPOConfig` be made with the former name of a field."""
    make = PPOConfig.__init__

    @wraps(make)
    def init(self: PPOConfig, *args: Any, **fields: Any) -> None:
        if former in fields:
            if today in fields:
                raise TypeError(f"{former} is the former name of {today}: give one of them, not both")
            fields[today] = fields.pop(former)
        make(self, *args, **fields)

    setattr(PPOConfig, "__init__", init)  # noqa: B010


_take_former_name("reward", "reward_unit")


@dataclass(frozen=True)
class CloningConfig:
    """Behaviour cloning from a controller, before PPO.

    Parameters
    ----------
    num_cells
        Cells in which the controller decides; 0 trains from scratch.
    num_users
        Numbers of users of these cells, in equal parts; by default the number that PPO trains with.
    num_epochs
        Passes over them.
    batch_size
        Cells in a minibatch.
    learning_rate
        Adam's initial learning rate; falls to 0 as a cosine.
    controller
        Name of the controller to imitate; by default ``heterogeneous``, or ``homogeneous`` in the homogeneous
        environment.
    """

    num_cells: int = 0
    num_users: tuple[int, ...] = ()
    num_epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 3e-3
    controller: str | None = None

    def __post_init__(self) -> None:
        check_integer("cloning.num_cells", self.num_cells, low=0, high=2**24)
        object.__setattr__(self, "num_users", _user_counts("cloning.num_users", self.num_users))
        check_integer("cloning.num_epochs", self.num_epochs, low=1, high=2**20)
        check_integer("cloning.batch_size", self.batch_size, low=1, high=2**20)
        check_number("cloning.learning_rate", self.learning_rate, low=0.0, high=1.0, low_open=True)
        if self.controller is not None:
            check_choice("cloning.controller", self.controller, list_controllers())

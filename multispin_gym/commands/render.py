"""``multispin render``: an episode of a policy's as a picture, an animation or a film."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from multispin_gym._validation import MOST_USERS, check_choice, check_integer, check_number
from multispin_gym.baselines.protocols import Rule
from multispin_gym.baselines.reference import MOST_USERS_CERTIFIED
from multispin_gym.envs.observations import ObservationCodec
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.evaluation.open_loop import decoder
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.policies import make_player
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.rendering.files import FORMATS, render_episode, write_episode
from multispin_gym.scenarios.changes import change_scenario, read_changes
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

OPTIMA = ("certificate", "bound", "none")
ROUNDS_OF_A_FILM = 20


class Seat:
    """A policy in front of a single cell: it is given batches of one, and gives decisions without a batch.

    Parameters
    ----------
    player
        The policy.
    scenario
        The scenario that is played, with its number of users.
    """

    def __init__(self, player: Player, scenario: Scenario) -> None:
        self._player = player
        self._observations = ObservationCodec(scenario, scenario.num_users)
        self._decode = decoder(MULTI_SPIN, scenario.cell, scenario.num_users)

    def prepare(self, users: Users, scenario: Scenario) -> Rule:
        """Tell the policy whom it will serve, of shape (K,), if it wants to know."""
        self._player.begin(_batch_of_one(users), scenario)
        return self

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Decide a round of users, of shape (K,)."""
        batch = _batch_of_one(users)
        decision = self._player.decide(batch, cell, self._observations.encode(batch), self._decode)
        self._player.expect(batch, cell, decision)
        shape = batch.acceptance_rate.shape
        return Decision(
            np.broadcast_to(decision.draft_lengths, shape)[0], np.broadcast_to(decision.bandwidth_shares, shape)[0]
        )


def _batch_of_one(users: Users) -> Users:
    return Users.trusted(**{name: values[None] for name, values in users.fields.items()})


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Play an episode and draw it: the last round as a .png, all of them as a .gif or .mp4. The rounds "
        "are those of the environment after reset(seed=SEED).",
    )
    add = parser.add_argument
    add("--scenario", default=MULTI_SPIN.scenario, help="preset or scenario file (default: %(default)s)")
    add("--policy", default="heterogeneous", help="who decides: as for evaluate's --policies (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of users, channels and acceptance (default: %(default)s)")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help=f"file to write: {', '.join(FORMATS)}")
    add("--num-users", type=int, help="users in the cell (default: the scenario's)")
    add("--rounds", type=int, help=f"rounds to play (default: 1 for a picture, at most {ROUNDS_OF_A_FILM} for a film)")
    add("--optimum", help=f"what rounds are compared with: {', '.join(OPTIMA)} (default: certificate for up to "
        f"{MOST_USERS_CERTIFIED} users, the relaxation's bound for more)")  # fmt: skip
    add("--sampled", action="store_true", help="sample the tokens; otherwise they are expectations")
    add("--dark", action="store_true", help="draw on a dark background")
    add("--fps", type=float, default=2.0, help="rounds a second of a film (default: %(default)s)")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="changes of the scenario")
    add("--allow-pickle", action="store_true", help="load sb3:FILE.zip, which runs the code that is pickled in it")
    return parser


def main(args: Sequence[str], prog: str = "multispin render") -> int:
    """Play, draw and write; exit status 0, 2 on bad input, or 130 if interrupted."""
    options = _parser(prog).parse_args(args)
    try:
        rounds = _render(options)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"{prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted: nothing was written", file=sys.stderr)
        return 130
    print(f"{options.policy}, {rounds} round{'s' if rounds > 1 else ''}: written to {options.output}")
    return 0


def _render(options: argparse.Namespace) -> int:
    kind = check_choice("ending", options.output.suffix.lower(), FORMATS)
    if options.output.is_dir():
        raise IsADirectoryError(f"output must be a file, got the directory {str(options.output)!r}")
    check_number("fps", options.fps, low=0.0, low_open=True)
    scenario = change_scenario(load_scenario(options.scenario), read_changes(options.set))
    if options.num_users is not None:
        users = check_integer("num_users", options.num_users, low=1, high=MOST_USERS)
        scenario = dataclasses.replace(scenario, num_users=users)
    rounds = options.rounds
    if rounds is None:
        rounds = 1 if kind == ".png" else min(scenario.num_rounds, ROUNDS_OF_A_FILM)
    seed = check_integer("seed", options.seed, low=0)
    player = make_player(options.policy, options.policy, MULTI_SPIN, scenario, seed, allow_pickle=options.allow_pickle)
    frames = render_episode(
        scenario,
        Seat(player, scenario),
        seed,
        rounds,
        sampled=options.sampled,
        optimum=_optimum(options.optimum, scenario.num_users),
        dark=options.dark,
    )
    write_episode(options.output, frames, options.fps)
    return int(rounds)


def _optimum(name: str | None, num_users: int) -> Literal["bound", "certificate"] | None:
    if name is None:
        return "certificate" if num_users <= MOST_USERS_CERTIFIED else "bound"
    chosen = check_choice("optimum", name, OPTIMA)
    return None if chosen == "none" else ("bound" if chosen == "bound" else "certificate")

"""What the libraries that people train with reach here: each in an environment of its own, with the pinned versions.

``python benchmarks/clients.py --help``. Writes clients.json and clients.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from _held_out import over_seeds, play_controllers, reached
from _report import head, machine_text, table
from _study import StudyInPieces, run

from multispin_gym._validation import check_choice

ROOT = Path(__file__).parents[1]
PROBE = Path(__file__).with_name("client_probe.py")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
TORCH = "torch==2.13.0"
UNTOUCHED = "untouched"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a client's environment has beside this library and torch.

    Parameters
    ----------
    packages
        Requirements, pinned.
    extra
        This library's extra.
    bare
        Requirements that are installed without what they ask for, and whatever Python they ask for.
    constrained
        Whether ``constraints.txt`` holds; not where a client pins other versions.
    """

    packages: tuple[str, ...]
    extra: str = "report"
    bare: tuple[str, ...] = ()
    constrained: bool = True


ENVIRONMENTS = {
    "sb3": Environment(packages=("stable-baselines3==2.9.2",), extra="train"),
    "rl_zoo3": Environment(packages=("rl_zoo3==2.9.2",), constrained=False),
    # The newest release asks for Python below 3.11 and for packages of its time; its script needs none of them.
    "cleanrl": Environment(packages=("tensorboard==2.21.0", "setuptools==84.2.1"), bare=("cleanrl==1.2.0",)),
    # Ray pins gymnasium==1.2.2.
    "rllib": Environment(packages=("ray[rllib]==2.60.0",), constrained=False),
    "torchrl": Environment(packages=("torchrl==0.14.1",)),
    "skrl": Environment(packages=("skrl==2.1.1",)),
    # d3rlpy pins gymnasium==1.0.0, which this library is too new for, and works with later ones.
    "d3rlpy": Environment(
        packages=(
            "minari[create,hdf5]==0.5.4",
            "gym==0.26.2",
            "structlog==26.1.0",
            "colorama==0.4.6",
            "dataclasses-json==0.6.7",
            "scikit-learn==1.9.1",
            "tqdm==4.70.1",
            "click==8.5.1",
        ),
        bare=("d3rlpy==2.8.1",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Client:
    """One row of the table: a training of ``client_probe.py``.

    Parameters
    ----------
    environment
        The environment it runs in.
    shown
        Packages whose versions stand in the table.
    what
        What is run.
    changed
        What of the library's own code is changed.
    budgets
        Rounds to train with.
    work
        Processor time of a round, roughly, in that of PPO.
    """

    environment: str
    shown: tuple[str, ...]
    what: str
    changed: str = UNTOUCHED
    budgets: tuple[int, ...] = (10_000, 50_000)
    work: int = 1


SB3, MINARI = ("stable-baselines3",), ("d3rlpy", "minari")
CLIENTS = {
    "sb3_sac": Client(environment="sb3", shown=SB3, what="SAC, scaled observations", budgets=(10_000,), work=20),
    "sb3_ppo_native": Client(environment="sb3", shown=SB3, what="PPO over `make_training_env`"),
    "sb3_ppo": Client(environment="sb3", shown=SB3, what="PPO, scaled observations"),
    "sb3_ppo_normalised": Client(environment="sb3", shown=SB3, what="PPO, `SubprocVecEnv`, `VecNormalize`"),
    "rl_zoo3": Client(environment="rl_zoo3", shown=("rl_zoo3",), what="its command line with `ppo.yml`"),
    "cleanrl": Client(
        environment="cleanrl",
        shown=("cleanrl",),
        what="its `ppo_continuous_action.py`",
        changed="untouched; one argument handed to `TransformObservation`",
    ),
    "cleanrl_discounted": Client(
        environment="cleanrl",
        shown=("cleanrl",),
        what="the same with its own gamma, 0.99",
        changed="untouched; one argument handed to `TransformObservation`",
    ),
    "rllib": Client(
        environment="rllib",
        shown=("ray",),
        what="PPO, scaled observations, rewards in 100 token/s",
        changed="3 lines: the first standard deviation",
    ),
    "torchrl": Client(environment="torchrl", shown=("torchrl",), what="`Collector`, `ClipPPOLoss`"),
    "skrl": Client(environment="skrl", shown=("skrl",), what="PPO over the native vector environment"),
    "d3rlpy_bc": Client(
        environment="d3rlpy",
        shown=MINARI,
        what="behaviour cloning on `heterogeneous`'s rounds",
        budgets=(5_000,),
        work=10,
    ),
    "d3rlpy_td3_plus_bc": Client(
        environment="d3rlpy", shown=MINARI, what="TD3+BC on its rounds with noise 0.3", budgets=(5_000,), work=20
    ),
    "d3rlpy_sac": Client(environment="d3rlpy", shown=("d3rlpy",), what="SAC online", budgets=(5_000,), work=20),
}


@dataclass(frozen=True, kw_only=True)
class Clients(StudyInPieces):
    """Train with every client and play what it learned on held-out episodes.

    Makes the clients' environments where they are missing, which takes the network and about 1 GB for each. Each
    training is a piece. Writes clients.json and clients.md.
    """

    clients: tuple[str, ...] = ()
    """Clients to train with; by default all."""
    scenario: str = "default"
    """Name of a preset, or path of a scenario file."""
    num_users: int = 8
    """Users in the cell."""
    seeds: tuple[int, ...] = (0,)
    """Training seeds."""
    budgets: tuple[int, ...] = ()
    """Rounds to train with; by default each client's own."""
    episodes: int = 50
    """Held-out episodes."""
    environments: Path = Path("results/environments")
    """Where the clients' environments lie."""
    runner: Literal["local", "processes", "ray"] = "processes"
    output: Path = Path("results/clients")

    def chosen(self) -> dict[str, Client]:
        """Return the clients by their names."""
        names = [check_choice("clients", name, CLIENTS) for name in self.clients or CLIENTS]
        return {name: CLIENTS[name] for name in names}


def python_of(folder: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    # Not resolved: it is a link to one that does not know what is installed there.
    return folder.absolute() / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def call(command: Sequence[str | Path], what: str, **settings: Any) -> str:
    """Run a command with one thread; return what it prints, or raise with the last line of its complaint."""
    words, environment = [str(word) for word in command], {**os.environ, **ONE_THREAD}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, **settings)
    if done.returncode != 0:
        complaint = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise RuntimeError(f"{what} failed: {complaint}")
    return done.stdout


def make_environment(name: str, folder: Path) -> None:
    """Make a client's environment, or leave the one that is there; one that is not finished is made anew."""
    if python_of(folder).exists():
        return
    wanted, unfinished = ENVIRONMENTS[name], folder.with_name(f"{folder.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    call([sys.executable, "-m", "venv", unfinished], f"making the environment of {name}")
    pip = [python_of(unfinished), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["-c", ROOT / "constraints.txt"] if wanted.constrained else []
    what = f"installing {name}"
    call([*pip, *constraints, "-e", f"{ROOT}[{wanted.extra}]", TORCH, *wanted.packages], what)
    if wanted.bare:
        call([*pip, "--no-deps", "--ignore-requires-python", *wanted.bare], what)
    # An environment's scripts know where it was made; its interpreter does not mind.
    unfinished.rename(folder)
    print(f"{name}: environment made in {folder}", file=sys.stderr)


def train(name: str, training: dict[str, Any], environments: Path, episodes: int) -> dict[str, Any]:
    """Train once in the client's environment; return what the probe found."""
    client = CLIENTS[name]
    packages = [*client.shown, "gymnasium", "torch", "numpy"]
    wanted = {"name": name, "options": training, "episodes": episodes, "packages": packages}
    python = python_of(environments / client.environment)
    what = f"{name} with {training['total_timesteps']} rounds"
    answer = call([python, "-W", "ignore", PROBE, json.dumps(wanted)], what)
    return dict(json.loads(answer.splitlines()[-1]))


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    rows = []
    for entry in report["trainings"]:
        versions, ratio = entry["versions"], entry["ratio"]
        spread = "" if ratio["least"] == ratio["most"] else " ({least:.3f}, {most:.3f})".format(**ratio)
        rows.append(
            [
                f"`{entry['client']}`",
                ", ".join(f"{name} {versions[name]}" for name in (*entry["shown"], "gymnasium")),
                entry["what"],
                entry["changed"],
                f"{entry['rounds']:,}",
                f"{entry['goodput']['median']:.1f}",
                f"{ratio['median']:.3f}{spread}",
                f"{entry['seconds']['median']:.0f}",
            ]
        )
    for name, found in report["controllers"].items():
        rows.append([f"`{name}`", "", "controller", "", "", f"{found['goodput']:.1f}", f"{found['ratio']:.3f}", ""])
    header = ["client", "versions", "what was run", "its code", "rounds", "token/s", "ratio", "processor time, s"]
    return "\n".join(
        [
            "# Clients\n",
            f"`{report['command']}`\n",
            f"Scenario `{report['scenario']}` with {report['num_users']} users, training seeds",
            f"{', '.join(map(str, report['seeds']))}, gamma 0 where a row does not say otherwise,",
            f"{report['episodes']} held-out episodes. Goodput: token/s, median over the seeds. Ratio: the sum of the",
            "goodput of all rounds over that of the certified optimum, median (least, most). Time: processor time of a",
            f"training on one thread, what it starts included. {machine_text(report)}.\n",
            table(header, rows, left=4),
            "The recipes are explained in [clients](../../clients.md). Rounds are those of training; for offline",
            "learners those in the data, and as many gradient steps.\n",
        ]
    )


def study(options: Clients, command: str) -> None:
    clients = options.chosen()
    options.environments.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(client.environment for client in clients.values()):
        make_environment(name, options.environments / name)
    keys = [
        (name, budget, seed)
        for name, client in clients.items()
        for budget in options.budgets or client.budgets
        for seed in options.seeds
    ]
    pieces = {}
    # What fails mostly fails soon: the short trainings first.
    for name, budget, seed in sorted(keys, key=lambda key: key[1] * clients[key[0]].work):
        training = {"scenario": options.scenario, "num_users": options.num_users}
        training |= {"total_timesteps": budget, "seed": seed}
        pieces[name, budget, seed] = (name, training, options.environments, options.episodes)
    found = options.do(train, pieces)
    controllers = play_controllers(options.scenario, options.num_users, options.episodes)
    optimum = controllers.pop("optimum")
    trainings = []
    for name, budget in dict.fromkeys(key[:2] for key in keys):
        parts = {seed: found[name, budget, seed] for seed in options.seeds}
        seeds = {
            str(seed): {**reached(part["played"], optimum), "seconds": part["seconds"]} for seed, part in parts.items()
        }
        shown = {measure: over_seeds(seeds, measure) for measure in ("goodput", "ratio", "seconds")}
        versions = next(iter(parts.values()))["versions"]
        trainings.append(
            {"client": name, "rounds": budget, **asdict(clients[name]), "versions": versions, **shown, "runs": seeds}
        )
    report = {
        **head(command),
        "scenario": options.scenario,
        "num_users": options.num_users,
        "seeds": list(options.seeds),
        "episodes": options.episodes,
        "trainings": trainings,
        "controllers": {name: reached(goodput, optimum) for name, goodput in controllers.items()},
    }
    page = to_markdown(report)
    options.write({"clients.json": report, "clients.md": page})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Clients, study, arguments)


if __name__ == "__main__":
    sys.exit(main())

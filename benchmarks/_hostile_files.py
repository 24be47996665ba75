"""Files that people hand in, made hostile: what each kind of file is, how it is read, and what has to work then."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from _hostile_text import (
    ALLOWED,
    JSON,
    TOML,
    Raw,
    Rng,
    dotted,
    get,
    json_text,
    leaf,
    mutate,
    paths,
    put,
    random_text,
    random_value,
    toml_text,
    without,
)

import multispin_gym as ms
from multispin_gym.agents import cli as train_cli
from multispin_gym.agents import tune
from multispin_gym.agents.hyperparameter_files import hyperparameters
from multispin_gym.baselines import certify, make_controller
from multispin_gym.envs import MultiSpinEnv
from multispin_gym.envs.serve import MultiSpinServeEnv
from multispin_gym.envs.stale import MultiSpinStaleEnv
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.report import check_output, to_json

CONTROLLERS = ("server_only", "uniform_best", "tk_slt", "homogeneous", "heterogeneous")
# Presets in which time passes: users who stay, and requests that come and go.
_CLOCKS = ("stale", "serve")
# What a refusal is; anything else is a failure.
REFUSALS = (ValueError, TypeError, OSError)
_OUT_OF_NUMBERS = "out of the range of numbers"


@dataclass(frozen=True)
class Case:
    """A hostile file: what it is, its bytes or how it is put there, and the name that a refusal gives."""

    label: str
    content: bytes | Callable[[Path], None]
    key: str = ""
    place: str = ""

    def put(self, path: Path) -> None:
        """Put the file in its place."""
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
        else:
            path.unlink(missing_ok=True)
            self.content(path)


class WrongError(Exception):
    """What was accepted does not work."""


def expect(holds: Any, what: str) -> None:
    if not holds:
        raise WrongError(what)


class Kind:
    """A kind of file."""

    name: ClassVar[str]
    file: ClassVar[str]

    def beside(self) -> Mapping[str, bytes]:
        """Return the valid files that lie in the same folder, by their names."""
        return {}

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        """Make a hostile file."""
        raise NotImplementedError

    def read(self, folder: Path, case: Case) -> Any:
        """Read the file; what is wrong raises one of :data:`REFUSALS`."""
        raise NotImplementedError

    def use(self, found: Any, rng: Rng) -> None:
        """Use what was read, which has to work."""


class TextKind(Kind):
    """A file of keys and values."""

    literals: ClassVar[Sequence[str]] = TOML
    emit: ClassVar[Callable[[Any], str]] = staticmethod(toml_text)

    def trees(self) -> list[dict[str, Any]]:
        """Return the valid contents that hostile ones are made of."""
        raise NotImplementedError

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        trees = self.trees()
        whole = whole_files(self.emit(trees[0]).encode())
        if number < len(whole):
            return whole[number]
        if number % 2:
            return self._systematic(trees, number // 2, seed)
        tree = trees[int(rng.integers(len(trees)))]
        ways = list(paths(tree))
        way = ways[int(rng.integers(len(ways)))]
        kind = rng.random()
        if kind < 0.3:
            return self._changed(tree, way, random_value(rng, self.literals))
        if kind < 0.5:
            return self._several(tree, ways, rng)
        if kind < 0.6:
            return Case(f"without {dotted(way)}", self.emit(without(tree, way)).encode())
        if kind < 0.7:
            return self._another(tree, rng)
        done, data = mutate(rng, self.emit(tree).encode())
        return Case(f"bytes: {done}", data)

    def _systematic(self, trees: list[dict[str, Any]], number: int, seed: int) -> Case:
        pairs = [(tree, way) for tree in trees for way in paths(tree)]
        count = len(pairs) * len(self.literals)
        # Every pair once, in an order that the seed gives.
        chosen = int(np.random.default_rng(seed).permutation(count)[number % count])
        tree, way = pairs[chosen // len(self.literals)]
        return self._changed(tree, way, Raw(self.literals[chosen % len(self.literals)]))

    def _changed(self, tree: dict[str, Any], way: tuple[Any, ...], value: Raw) -> Case:
        shown = value if len(value) < 100 else f"{value[:60]}... ({len(value)} characters)"
        return Case(f"{dotted(way)} = {shown}", self.emit(put(tree, way, value)).encode(), leaf(way))

    def _several(self, tree: dict[str, Any], ways: list[tuple[Any, ...]], rng: Rng) -> Case:
        """Change several keys to values each of which is allowed."""
        numbers = [way for way in ways if leaf(way) in ALLOWED and isinstance(get(tree, way), int | float)]
        if not numbers:
            return self._changed(tree, ways[int(rng.integers(len(ways)))], random_value(rng, self.literals))
        chosen = rng.choice(len(numbers), min(len(numbers), int(rng.integers(1, 7))), replace=False)
        words = []
        for way in sorted(numbers[index] for index in chosen.tolist()):
            low, high = np.log10(ALLOWED[leaf(way)])
            middle = np.log10(max(abs(get(tree, way)), 1e-300))
            width = 10.0 ** rng.uniform(-1.0, 2.0)
            value = float(10.0 ** np.clip(rng.uniform(middle - width, middle + width), low, high))
            tree = put(tree, way, value)
            words.append(f"{dotted(way)} = {value:.3g}")
        for name in ("distance", "speed_range", "rate_range", "slack"):
            for way in [way for way in paths(tree) if way[-1] == name]:
                tree = put(tree, way, sorted(get(tree, way)))
        return Case(", ".join(words), self.emit(tree).encode())

    def _another(self, tree: dict[str, Any], rng: Rng) -> Case:
        """Add a key, at the top or in a table: a new one, or one that is there already."""
        tables = [(), *(way for way in paths(tree) if isinstance(get(tree, way), dict))]
        way = tables[int(rng.integers(len(tables)))]
        table = get(tree, way)
        known = [name for name in table if isinstance(name, str)] or ["x"]
        near = known[int(rng.integers(len(known)))]
        name = [random_text(rng, int(10.0 ** rng.uniform(0.0, 4.0))), near + "x", Raw(near), Raw(f'"{near}"'), ""][
            int(rng.integers(5))
        ]
        changed = put(tree, way, {**table, name: random_value(rng, self.literals)})
        return Case(f"{dotted(way)} with the key {name[:40]!r}", self.emit(changed).encode())


@cache
def whole_files(valid: bytes) -> list[Case]:
    """Return what may lie in the place of any file."""

    def folder(path: Path) -> None:
        path.mkdir()

    def loop(path: Path) -> None:
        path.symlink_to(path.name)

    def dangling(path: Path) -> None:
        path.symlink_to("nothing")

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(2**40)

    def long_link(path: Path) -> None:
        path.symlink_to("x/" * 1000)

    def sparse_behind(path: Path) -> None:
        with path.open("wb") as file:
            file.write(valid)
            file.truncate(2**33)

    return [
        Case("a folder", folder),
        Case("a loop of links", loop),
        Case("a dangling link", dangling),
        Case("a link of a thousand steps", long_link),
        Case("missing", lambda path: None),
        Case("a terabyte of nothing", sparse),
        Case("eight gigabytes, the first bytes valid", sparse_behind),
        Case("empty", b""),
        Case("a byte order mark", b"\xef\xbb\xbf" + valid),
        Case("UTF-16", valid.decode("latin-1").encode("utf-16")),
        Case("not UTF-8", valid + b"\xff\xfe\x80"),
        Case("Latin-1", b"# \xfc\n" + valid),
        Case("nulls", b"\0" * 1000),
        Case("nulls behind", valid + b"\0"),
        Case("twice", valid * 2),
        Case("half", valid[: len(valid) // 2]),
        Case("line ends of old", valid.replace(b"\n", b"\r")),
        Case("a long comment", valid + b"#" + b"x" * 3_000_000),
        Case("a comment within the bound", valid + b"#" + b"x" * 400_000),
        Case("ten thousand brackets", b"x = " + b"[" * 10_000 + b"]" * 10_000),
        Case("ten thousand open brackets", b"[" * 10_000),
        Case("ten thousand braces", b"x = " + b"{a=" * 10_000 + b"1" + b"}" * 10_000),
        Case("a key of 50,000 parts", b".".join([b"a"] * 50_000) + b" = 1\n"),
        Case("a table of 50,000 parts", b"[" + b".".join([b"a"] * 50_000) + b"]\n"),
        Case("a quoted key of 50,000 parts", b" . ".join([b'"a"'] * 50_000) + b" = 1\n"),
        Case("a literal key of 50,000 parts", b".".join([b"'a'"] * 50_000) + b" = 1\n"),
        Case("many keys of 30 parts", b"".join(b"k%d." % i + b".".join([b"a"] * 29) + b"=1\n" for i in range(5000))),
        Case("forty thousand keys", b"".join(b"key%d = 1\n" % i for i in range(40_000))),
        Case("thirty thousand tables", b"".join(b"[table%d]\n" % i for i in range(30_000))),
        Case("thirty thousand tables of an array", valid + b"[[acceptance]]\n" * 30_000),
        Case("thirty thousand more tasks", valid + b"[[tasks]]\nrate_range=[0,1]\n" * 15_000),
        Case("half a million quotes", b'x = "' + b"'" * 490_000),
        Case("triple quotes", b'x = """' + b'"' * 490_000),
        Case("backslashes", b'x = "' + b"\\" * 490_000 + b'"'),
        Case("a number of half a million digits", b"x = " + b"1" * 490_000),
        Case("a number of half a million underscores", b"x = 1" + b"_1" * 245_000),
        Case("a hexadecimal number of half a million digits", b"x = 0x" + b"f" * 490_000),
        Case("only brackets of tables", b"[[" * 200_000),
        Case("escapes of a terminal", b"\x1b[2J\x1b]0;title\x07 = 1\n"),
        Case("a name of escapes", b'"\\u001b[2J" = 1\n'),
        Case("a pickle", b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
        Case("a zip that ends at once", b"PK\x05\x06" + b"\0" * 18),
    ]


class ScenarioFile(TextKind):
    name, file = "scenario", "cell.toml"

    def trees(self) -> list[dict[str, Any]]:
        return _scenario_trees()

    def read(self, folder: Path, case: Case) -> Any:
        return ms.load_scenario(folder / self.file)

    def use(self, found: Any, rng: Rng) -> None:
        play_scenario(found, rng)


@cache
def _scenario_trees() -> list[dict[str, Any]]:
    template = tomllib.loads(files("multispin_gym.commands").joinpath("template.toml").read_text(encoding="utf-8"))
    server = {"num_tokens": [1, 64, 128], "seconds": [0.06, 0.08, 0.11], "tail_per_token": 4e-4, "batching": "padded"}
    named = {"table": "a100_llama2_7b", "scale": 4.0, "batching": "ragged"}
    payload = {"protocol": "top_k", "vocabulary_size": 32000, "k": 64}
    cell = {**template["cell"], "power": "density", "min_draft_length": 0}
    cell |= {"round_trip": 0.02, "downlink": 1e6, "downlink_payload": 64.0}
    others = [
        {**template, "cell": {**cell, "verification": server, "payload": payload}},
        {**template, "cell": {**template["cell"], "verification": named}, "fading": {"correlation": 0.9}},
    ]
    return [
        template,
        *others,
        *(tomllib.loads(ms.load_scenario(name).to_toml()) for name in ("laptops_60ms", "paper_qwen35", *_CLOCKS)),
    ]


def play_scenario(scenario: ms.Scenario, rng: Rng) -> None:
    """Play a round by an environment, one by each controller, and where it is quick one that is certified."""
    if scenario.clock is None:
        observation = step(MultiSpinEnv(scenario), rng)
    elif scenario.clock.requests is None:
        step(MultiSpinStaleEnv(scenario), rng)
    else:
        step(MultiSpinServeEnv(scenario), rng)
    few = min(scenario.num_users, 3)
    users = scenario.sample_users(np.random.default_rng(0), few, (2,))
    best = np.zeros(2)
    for name in CONTROLLERS:
        with solved():
            outcome = ms.play_round(users, scenario.cell, make_controller(name)(users, scenario.cell))
            for field, values in vars(outcome).items():
                expect(not np.isnan(values).any(), f"{name}: NaN as {field}")
                expect((values >= 0.0).all(), f"{name}: a negative {field}")
            for field in ("tokens", "drafting_time", "verification_time", "goodput"):
                expect(np.isfinite(getattr(outcome, field)).all(), f"{name}: an infinite {field}")
            expect((outcome.goodput[np.isinf(outcome.latency)] == 0.0).all(), f"{name}: goodput in an endless round")
            if name != "server_only" or scenario.cell.min_draft_length == 0:
                best = np.maximum(best, outcome.goodput)
    if rng.random() < 0.25 and scenario.cell.max_draft_length <= 100:
        with solved():
            certificate = certify(users, scenario.cell, time_limit=0.2)
            bound = certificate.upper_bound
            expect(np.isfinite(bound).all(), f"a certificate of {bound}")
            expect((best <= bound * (1.0 + 1e-9)).all(), f"goodput {best} above the certificate {bound}")
    if rng.random() < 0.25 and scenario.cell.max_draft_length <= 100 and scenario.clock is None:
        act_untrained(scenario, observation)


def step(env: gym.Env[Any, Any], rng: Rng) -> dict[str, Any]:
    """Make one step, and return the observation before it."""
    observation, _ = env.reset(seed=0)
    expect(env.observation_space.contains(observation), "an observation outside of its space")
    env.action_space.seed(int(rng.integers(2**31)))
    seen, reward, *_ = env.step(env.action_space.sample())
    expect(env.observation_space.contains(seen), "an observation outside of its space")
    expect(np.isfinite(reward) and reward >= 0.0, f"a reward of {reward}")
    return dict(observation)


@contextlib.contextmanager
def solved() -> Iterator[None]:
    """Let a solver say that a cell takes it out of the range of numbers."""
    try:
        yield
    except RuntimeError as error:
        expect(_OUT_OF_NUMBERS in str(error), f"RuntimeError: {error}")


def act_untrained(scenario: ms.Scenario, observation: Mapping[str, Any]) -> None:
    """Let an agent that has learned nothing act: finite numbers, or a refusal of the cell."""
    from multispin_gym.agents import PolicyConfig
    from multispin_gym.agents.agent import Agent, build_network
    from multispin_gym.agents.run_directory import AgentSpec

    spec = AgentSpec(scenario, "multispin_gym/MultiSpin-v0", scenario.num_users, PolicyConfig(8, 1, 8), {}, {})
    try:
        action = Agent("untrained", spec, build_network(spec)).act(observation)
    except ValueError as error:
        expect("float32" in str(error), f"an untrained agent: {error}")
    else:
        expect(np.isfinite(action).all(), "an untrained agent acts NaN")


class MeasuredTable(Kind):
    name, file = "measured table", "table.csv"

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        from multispin_gym.scenarios.measured_tables import PRESETS

        valid = PRESETS.joinpath("a100_verification_latency_ms.csv").read_bytes()
        whole = [*whole_files(valid), Case("a hundred thousand lines", valid + b"9999,1,1,1\n" * 100_000)]
        if number < len(whole):
            return whole[number]
        if rng.random() < 0.5:
            done, data = mutate(rng, valid)
            return Case(f"bytes: {done}", data)
        lines = valid.decode().splitlines()
        row = int(rng.integers(1, len(lines)))
        cells = lines[row].split(",")
        column = int(rng.integers(len(cells)))
        words = ("", "nan", "inf", "-1", "0", "1e308", "1e999", "x", '"', "1,2", "\uff11", "0x10", "1_0", "9" * 200_000)
        cells[column] = words[int(rng.integers(len(words)))]
        lines[row] = ",".join(cells)
        return Case(f"line {row}, column {column}: {cells[column][:20]}", "\n".join(lines).encode())

    def read(self, folder: Path, case: Case) -> Any:
        from multispin_gym.scenarios.measured_tables import read_measurements

        return read_measurements(folder / self.file)

    def use(self, found: Any, rng: Rng) -> None:
        for measurement in found.values():
            table = ms.TableVerification(measurement.num_tokens, measurement.seconds)
            expect(np.isfinite(table.time([1.0, 100.0, 1e6])).all(), "an infinite time")


class Hyperparameters(TextKind):
    name, file = "hyperparameters", "own.toml"

    def trees(self) -> list[dict[str, Any]]:
        from multispin_gym.agents import CloningConfig, TrainConfig
        from multispin_gym.agents.hyperparameter_files import hyperparameter_text

        tree = tomllib.loads(hyperparameter_text(TrainConfig()))
        cloning = {"num_cells": 4096, "num_users": [4, 8], "num_epochs": 2, "batch_size": 64, "learning_rate": 1e-3}
        assert CloningConfig(**cloning)
        ppo = {**tree["ppo"], "num_users": [4, 8]}
        return [{"total_timesteps": 1000, **tree, "ppo": ppo, "cloning": {**cloning, "controller": "tk_slt"}}]

    def read(self, folder: Path, case: Case) -> Any:
        from multispin_gym.agents import TrainConfig

        return TrainConfig(**hyperparameters("default", str(folder / self.file)))


@cache
def run_files() -> dict[str, bytes]:
    """Train for a moment; return the files that a run leaves behind."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        assert said(train_cli.main, [*TRAINING, "--run-dir", str(run)]) is not None
        return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


TRAINING = ["--num-users", "2", "--eval-cells", "4", "--total-timesteps", "32", "--checkpoint-every", "1"]
TRAINING += ["--no-progress", "--policy.width", "4", "--policy.depth", "1", "--policy.critic-width", "4"]
TRAINING += ["--ppo.num-envs", "4", "--ppo.rollout-steps", "4", "--ppo.batch-size", "16", "--ppo.num-epochs", "1"]


def said(main: Callable[[list[str]], int], arguments: list[str]) -> str:
    """Run a command in this process; what it refuses raises a ``ValueError`` of what it says."""
    out, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaint):
        status = main(arguments)
    if status:
        said = complaint.getvalue().rstrip("\n")
        expect("error: " in said, f"exit status {status}: {said}")
        raise ValueError(said)
    return out.getvalue()


class Configuration(TextKind):
    name, file = "config.json", "config.json"
    literals, emit = JSON, staticmethod(json_text)

    def beside(self) -> Mapping[str, bytes]:
        return run_files()

    def trees(self) -> list[dict[str, Any]]:
        return [json.loads(run_files()[self.file])]

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        if number % 5 == 4:
            # The scenario in it is a file of its own.
            inner = ScenarioFile().case(rng, int(rng.integers(10_000)), seed)
            if isinstance(inner.content, bytes):
                text = inner.content.decode(errors="replace")
                tree = {**self.trees()[0], "scenario": text}
                return Case(f"scenario: {inner.label}", self.emit(tree).encode(), inner.key)
        return super().case(rng, number, seed)

    def read(self, folder: Path, case: Case) -> Any:
        from multispin_gym.agents import load_agent

        agent = load_agent(folder)
        train_cli.parse(["--run-dir", str(folder), "--resume"])
        return agent

    def use(self, found: Any, rng: Rng) -> None:
        scenario = found.spec.scenario
        users = scenario.sample_users(np.random.default_rng(0), 2, (3,))
        try:
            decision = found(users, scenario.cell)
        except ValueError as error:
            # Weights may be numbers whose products are none.
            expect("float32" in str(error) or "action must lie" in str(error), str(error))
        else:
            expect(np.isfinite(decision.bandwidth_shares).all(), "shares that are no numbers")


class Weights(Configuration):
    name, file = "policy.safetensors", "policy.safetensors"

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        valid = run_files()[self.file]
        whole = [*whole_files(valid), *self._lies(valid)]
        if number < len(whole):
            return whole[number]
        if rng.random() < 0.5:
            return self._other_tensors(rng, valid)
        size = int.from_bytes(valid[:8], "little")
        where = rng.integers(3)
        if where == 0:
            done, data = mutate(rng, valid)
            return Case(f"bytes: {done}", data)
        if where == 1:
            done, header = mutate(rng, valid[8 : 8 + size])
            return Case(f"header: {done}", len(header).to_bytes(8, "little") + header + valid[8 + size :])
        header = json.loads(valid[8 : 8 + size])
        ways = list(paths(header))
        changed = put(header, ways[int(rng.integers(len(ways)))], random_value(rng, JSON))
        text = json_text(changed).encode()
        return Case("header: a value", len(text).to_bytes(8, "little") + text + valid[8 + size :])

    def _lies(self, valid: bytes) -> list[Case]:
        size = int.from_bytes(valid[:8], "little")
        header = json.loads(valid[8 : 8 + size])
        name = next(iter(header))
        tensors = {
            "shape of a terabyte": {**header[name], "shape": [2**38]},
            "negative shape": {**header[name], "shape": [-4]},
            "offsets beyond": {**header[name], "data_offsets": [0, 2**40]},
            "offsets backwards": {**header[name], "data_offsets": [16, 0]},
            "a kind that is none": {**header[name], "dtype": "F33"},
        }
        cases = [Case("header of 2**63 bytes", (2**63).to_bytes(8, "little") + valid[8:])]
        for label, entry in tensors.items():
            text = json.dumps({**header, name: entry}).encode()
            cases.append(Case(label, len(text).to_bytes(8, "little") + text + valid[8 + size :]))
        return cases

    def _other_tensors(self, rng: Rng, valid: bytes) -> Case:
        import torch
        from safetensors.torch import load, save

        tensors = load(valid)
        names = sorted(tensors)
        name = names[int(rng.integers(len(names)))]
        kind = int(rng.integers(8))
        if kind == 0:
            which = [
                torch.int64,
                torch.complex64,
                torch.float16,
                torch.float64,
                torch.bool,
                torch.bfloat16,
                torch.uint8,
            ]
            dtype = which[int(rng.integers(len(which)))]
            tensors[name] = tensors[name].to(dtype)
            label = f"{name} as {dtype}"
        elif kind == 1:
            value = [float("nan"), float("inf"), -float("inf"), 3e38][int(rng.integers(4))]
            tensors[name] = tensors[name].clone()
            tensors[name].view(-1)[0] = value
            label = f"{name} with {value}"
        elif kind == 2:
            shape = [int(10.0 ** rng.uniform(0.0, 3.0)) for _ in range(int(rng.integers(3)))]
            tensors[name] = torch.zeros(shape)
            label = f"{name} of shape {shape}"
        elif kind == 3:
            del tensors[name]
            label = f"without {name}"
        elif kind == 4:
            tensors[random_text(rng, int(10.0 ** rng.uniform(0.0, 3.0)))] = torch.zeros(2)
            label = "one more"
        elif kind == 5:
            tensors = {key: torch.full_like(value, 1e30) for key, value in tensors.items()}
            label = "all 1e30"
        elif kind == 6:
            tensors = {}
            label = "none"
        else:
            tensors[name] = torch.from_numpy(np.full(tensors[name].shape, 10.0 ** rng.uniform(0, 38), np.float32))
            label = f"{name} large"
        return Case(label, save(tensors))


class TrainingState(Configuration):
    name, file = "training_state.pt", "training_state.pt"

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        import torch

        valid = run_files()[self.file]
        whole = whole_files(valid)
        if number < len(whole):
            return whole[number]
        if rng.random() < 0.3:
            done, data = mutate(rng, valid)
            return Case(f"bytes: {done}", data)
        state = torch.load(io.BytesIO(valid), weights_only=True)
        state["policy"] = dict(state["policy"])
        ways = list(paths(state))
        way = (
            ways[int(rng.integers(len(ways)))] if rng.random() < 0.7 else (list(state)[int(rng.integers(len(state)))],)
        )
        label, value = self._value(rng, get(state, way))
        changed = without(state, way) if label == "gone" else put(state, way, value)
        buffer = io.BytesIO()
        torch.save(changed, buffer)
        return Case(f"{dotted(way)}: {label}", buffer.getvalue())

    def _value(self, rng: Rng, now: Any) -> tuple[str, Any]:
        import torch

        odd = [
            -1,
            0,
            1,
            2**31,
            2**63,
            10**400,
            1.5,
            float("nan"),
            float("inf"),
            True,
            None,
            "x",
            "",
            [],
            {},
            [1],
            {"a": 1},
        ]
        odd += [torch.zeros(0), torch.zeros(3, 3), torch.tensor(1), (), "\x1b[31m\n", "x" * 100_000, [[]], b"x", Code()]
        if isinstance(now, torch.Tensor) and rng.random() < 0.6:
            kinds = [torch.int64, torch.float64, torch.complex64, torch.bool, torch.uint8, torch.float32]
            dtype = kinds[int(rng.integers(len(kinds)))]
            changed = [
                ("another kind", now.to(dtype)),
                ("a longer one", torch.cat([now.reshape(-1), now.reshape(-1)])),
                ("flat", now.reshape(-1)[:-1]),
                ("full of -1", torch.full_like(now, -1) if now.dtype != torch.uint8 else torch.full_like(now, 255)),
                ("full of large numbers", torch.full_like(now, 200)),
                ("NaN", torch.full_like(now, float("nan")) if now.is_floating_point() else now.to(torch.float16)),
                ("infinite", torch.full(now.shape, float("inf"))),
                ("an expanded terabyte", torch.zeros(1).expand(2**38)),
            ]
            return changed[int(rng.integers(len(changed)))]
        if rng.random() < 0.1:
            return "gone", None
        value = odd[int(rng.integers(len(odd)))]
        return repr(value)[:40], value

    def read(self, folder: Path, case: Case) -> Any:
        before = Code.ran
        arguments = ["--run-dir", str(folder), "--resume", "--total-timesteps", "64", "--no-progress"]
        found = said(train_cli.main, arguments)
        expect(Code.ran == before, "code in a pickle was run")
        return found

    def use(self, found: Any, rng: Rng) -> None:
        expect("nan" not in found and "inf" not in found, f"a training that ended with {found}")


class Code:
    """Runs code where it is unpickled."""

    ran = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _run_code, ()


def _run_code() -> str:
    Code.ran += 1
    return "code"


class Study(TextKind):
    name, file = "study of a search", "study.json"
    literals, emit = JSON, staticmethod(json_text)

    def trees(self) -> list[dict[str, Any]]:
        return [json.loads(_study())]

    def read(self, folder: Path, case: Case) -> Any:
        return said(tune.main, [*SEARCH, "--output", str(folder / self.file), "--resume"])

    def use(self, found: Any, rng: Rng) -> None:
        expect(np.isfinite(json.loads(found)["ratio"]), f"the best is {found}")


SEARCH = ["--num-trials", "2", "--num-users", "2", "--total-timesteps", "1", "--training-seeds", "0"]


@cache
def _study() -> bytes:
    """Make the study file of a search of two trials."""
    import optuna

    from multispin_gym.agents.study_file import report_of

    optuna.logging.disable_default_handler()
    config = tune.SearchConfig(num_trials=2, num_users=2, total_timesteps=1, training_seeds=(0,))
    base = tune._base(config)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=5, seed=config.seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.enqueue_trial({name: getattr(tune._section(base, name), name) for name in tune.SEARCHED})
    for ratio in (0.5, 0.6):
        trial = study.ask()
        tune.suggest(trial, base)
        trial.set_user_attr("ratios", [ratio])
        study.tell(trial, ratio)
    return json.dumps(report_of(config, study)).encode()


class Piece(TextKind):
    name, file = "piece of an evaluation", "piece.json"
    literals, emit = JSON, staticmethod(json_text)

    def trees(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in _pieces().values()]

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        name = sorted(_pieces())[number % len(_pieces())]
        inner = super().case(rng, number, seed)
        return Case(f"{name.partition('-')[0]}: {inner.label}", inner.content, place=name)

    def read(self, folder: Path, case: Case) -> Any:
        tasks = folder / "out" / "tasks"
        tasks.mkdir(parents=True)
        for name, data in _pieces().items():
            (tasks / name).write_bytes(data)
        (tasks / case.place).unlink()
        if os.path.lexists(folder / self.file):
            os.rename(folder / self.file, tasks / case.place)
        return _evaluate(tasks)

    def use(self, found: Any, rng: Rng) -> None:
        # A damaged piece counts as nothing: it is played again.
        expect(found == _evaluate(None), "other results")


@cache
def _pieces() -> dict[str, bytes]:
    """Make the pieces that an interrupted evaluation leaves."""
    with tempfile.TemporaryDirectory() as folder:
        _evaluate(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _evaluate(folder: Path | None) -> str:
    found = evaluate(["tk_slt"], None, 2, 2, 1000, rounds=2, folder=folder, resume=folder is not None)
    return to_json(found)


class Output(TextKind):
    name, file = "results in the output", "results.json"
    literals, emit = JSON, staticmethod(json_text)

    def trees(self) -> list[dict[str, Any]]:
        estimate = {"mean": 1.0, "ci95": [0.9, 1.1]}
        policies = {"tk_slt": {"goodput": estimate}}
        return [{"scenario": "default", "episodes": 2, "seed": 0, "policies": policies, "server_only": {}}]

    def read(self, folder: Path, case: Case) -> Any:
        return check_output(folder)


class Sb3File(Kind):
    name, file = "Stable-Baselines3 file", "policy.zip"

    def case(self, rng: Rng, number: int, seed: int) -> Case:
        valid = _sb3_file()
        whole = [*whole_files(valid), Case("a zip of a gigabyte of nothing", _put_bomb)]
        if number < len(whole):
            return whole[number]
        if rng.random() < 0.4:
            done, data = mutate(rng, valid)
            return Case(f"bytes: {done}", data)
        import zipfile

        with zipfile.ZipFile(io.BytesIO(valid)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = sorted(parts)[int(rng.integers(len(parts)))]
        if name == "data" and rng.random() < 0.6:
            tree = json.loads(parts[name])
            ways = list(paths(tree))
            way = ways[int(rng.integers(len(ways)))]
            parts[name] = json_text(put(tree, way, random_value(rng, JSON))).encode()
            return Case(f"data: {dotted(way)}", _zip(parts))
        if rng.random() < 0.2:
            del parts[name]
            return Case(f"without {name}", _zip(parts))
        done, parts[name] = mutate(rng, parts[name])
        return Case(f"{name}: {done}", _zip(parts))

    def read(self, folder: Path, case: Case) -> Any:
        from multispin_gym.agents.sb3_files import load_sb3_policy
        from multispin_gym.envs.variants import MULTI_SPIN
        from multispin_gym.evaluation.policies import make_player

        make_player("sb3", f"sb3:{folder / self.file}", MULTI_SPIN, _sb3_scenario(), 0, allow_pickle=True)
        return load_sb3_policy(folder / self.file)


def _sb3_scenario() -> ms.Scenario:
    from dataclasses import replace

    return replace(ms.load_scenario("default"), num_users=2)


def _zip(parts: Mapping[str, bytes]) -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _put_bomb(path: Path) -> None:
    path.write_bytes(_zip({"data": b"0" * 2**30}))


@cache
def _sb3_file() -> bytes:
    from stable_baselines3 import PPO

    from multispin_gym.wrappers import ScaledObservation

    env = ScaledObservation(MultiSpinEnv("default", num_users=2))
    model = PPO("MultiInputPolicy", env, n_steps=2, batch_size=2, policy_kwargs={"net_arch": [4]}, device="cpu", seed=0)
    buffer = io.BytesIO()
    model.save(buffer)
    return buffer.getvalue()


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        ScenarioFile(),
        MeasuredTable(),
        Hyperparameters(),
        Configuration(),
        Weights(),
        TrainingState(),
        Study(),
        Piece(),
        Output(),
        Sb3File(),
    )
}
# How many of a hundred files are of each kind.
SHARES = dict(zip(KINDS, (45, 4, 12, 12, 7, 7, 5, 4, 2, 2), strict=True))

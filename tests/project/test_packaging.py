"""What is built, installed and pinned."""

import ast
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from library import PACKAGES, ROOT, imported_names, module_names, source_files, without_coverage
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.slow

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PYPROJECT["project"]["version"]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "runs", "results"
)


def run(*command, cwd, **options):
    words = [str(part) for part in command]
    options = {"env": without_coverage(), **options}
    finished = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout to build from."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    return source


def build(source, out, *options, umask=-1, **environment):
    """Build distributions without a network."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *options, source]
    run(*command, cwd=source, umask=umask, env={**without_coverage(), **environment})


@pytest.fixture(scope="module")
def built(checkout, tmp_path_factory):
    """The source distribution, and the wheel built from it."""
    out = tmp_path_factory.mktemp("dist")
    build(checkout, out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def test_wheel_holds_one_package_with_every_source_file(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name.split("/")[0] for name in names} == {"multispin_gym", f"multispin_gym-{VERSION}.dist-info"}
    expected = {
        "/".join([*package.split("."), *path.relative_to(ROOT / folder).parts])
        for folder, package in PACKAGES.items()
        for path in source_files(folder)
    }
    assert {name for name in names if name.startswith("multispin_gym/")} == expected
    assert {
        "multispin_gym/py.typed",
        "multispin_gym/agents/__init__.py",
        "multispin_gym/baselines/__init__.py",
    } <= names
    assert f"multispin_gym-{VERSION}.dist-info/licenses/LICENSE" in names


def test_wheel_requires_the_numerical_core_and_offers_the_rest_as_extras(built):
    with zipfile.ZipFile(built[1]) as archive:
        metadata = email.message_from_bytes(archive.read(f"multispin_gym-{VERSION}.dist-info/METADATA"))
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {r.name for r in requirements if r.marker is None} == {"gymnasium", "numpy", "scipy"}
    assert set(metadata.get_all("Provides-Extra")) == {
        "report",
        "train",
        "search",
        "ray",
        "render",
        "fast",
        "benchmarks",
        "dev",
    }
    heavy = {"torch", "stable-baselines3", "tensorboard", "ray"}
    assert not {r.name for r in requirements if r.marker and r.marker.evaluate({"extra": "report"})} & heavy
    assert heavy - {"ray"} <= {r.name for r in requirements if r.marker and r.marker.evaluate({"extra": "train"})}
    assert {r.name for r in requirements if r.marker and r.marker.evaluate({"extra": "ray"})} == {"ray"}
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"


def test_source_distribution_holds_what_is_needed_to_run_the_tests(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {path.relative_to(ROOT).as_posix() for folder in (*PACKAGES, "tests") for path in source_files(folder)}
    wanted |= {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "CITATION.cff", "CHANGELOG.md"}
    wanted |= {path.name for path in ROOT.glob("*.py")}
    assert wanted <= names


def test_distributions_are_the_same_bytes_whenever_wherever_and_by_whom_they_are_built(built, checkout, tmp_path):
    other = tmp_path / "somewhere else"
    shutil.copytree(checkout, other)
    for path in [*other.rglob("*")]:
        path.chmod(0o700 if path.stat().st_mode & 0o100 else 0o600)
        os.utime(path, (1e9, 1e9))
    # What an earlier build left behind, of a module that is no longer there.
    (other / "build" / "lib" / "multispin_gym").mkdir(parents=True)
    (other / "build" / "lib" / "multispin_gym" / "former.py").write_text("")
    out = tmp_path / "out"
    build(other, out, "--sdist", "--wheel", umask=0o077, LC_ALL="C", TZ="Asia/Tokyo")
    for path in built:
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_a_date_that_is_asked_for_is_the_date_of_every_file(checkout, tmp_path):
    build(checkout, tmp_path, SOURCE_DATE_EPOCH="1700000000")
    with zipfile.ZipFile(*tmp_path.glob("*.whl")) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    with tarfile.open(*tmp_path.glob("*.tar.gz")) as archive:
        assert {entry.mtime for entry in archive} == {1_700_000_000}


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The interpreter of a new virtual environment with the wheel, which borrows this one's dependencies."""
    home = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    python = home / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", built[1], cwd=home)
    # A .pth adds folders to the path without reading the .pth files in them: the editable checkout stays out.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    borrowed = [entry for entry in sys.path if entry.endswith("site-packages")]
    Path(site, "borrowed.pth").write_text("\n".join(borrowed))
    return python, Path(site)


def test_installed_wheel_imports_every_module_without_a_warning(installed, tmp_path):
    python, site = installed
    script = "import importlib, sys; print(*(importlib.import_module(n).__file__ for n in sys.argv[1:]), sep='\\n')"
    lines = run(python, "-W", "error", "-c", script, *module_names(), cwd=tmp_path).splitlines()
    assert len(lines) == len(module_names())
    assert all(Path(line).is_relative_to(site) for line in lines)


def test_installed_wheel_carries_every_scenario(installed, tmp_path):
    script = "import multispin_gym as ms; print(*(ms.load_scenario(name).name for name in ms.list_scenarios()))"
    presets = {path.stem for path in (ROOT / "multispin_gym" / "scenarios" / "presets").glob("*.toml")}
    assert set(run(installed[0], "-W", "error", "-c", script, cwd=tmp_path).split()) == presets


PLAY = """
import gymnasium as gym
import multispin_gym
from multispin_gym.baselines import make_controller

env = gym.make("multispin_gym/MultiSpin-v0", num_users=4)
env.reset(seed=3)
decision = make_controller("homogeneous")(env.unwrapped.users, env.unwrapped.cell)
print(env.step(env.unwrapped.encode_action(decision))[1])
"""


def test_installed_wheel_plays_the_round_that_the_checkout_plays(installed, tmp_path):
    rewards = [float(run(python, "-W", "error", "-c", PLAY, cwd=tmp_path)) for python in (installed[0], sys.executable)]
    assert rewards[0] == rewards[1] > 0.0


HEAVY = ("torch", "matplotlib", "stable_baselines3", "tensorboard", "tyro", "rich", "pandas", "ray", "PIL", "pygame")
HEAVY += ("multispin_gym.agents",)


@pytest.mark.parametrize(
    ("module", "absent"),
    [("multispin_gym", (*HEAVY, "multispin_gym.baselines")), ("multispin_gym.baselines", HEAVY)],
)
def test_importing_the_core_warns_of_nothing_and_loads_no_heavy_library(module, absent, tmp_path):
    script = f"import sys, {module}; print(*(name for name in {absent!r} if name in sys.modules))"
    assert run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path).strip() == ""


def requirements():
    project = PYPROJECT["project"]
    lines = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    return [r for r in map(Requirement, lines) if r.name != project["name"]]


def extra(*names):
    """Distributions that the given extras bring, with the core's."""
    project = PYPROJECT["project"]
    lines = project["dependencies"] + [line for name in names for line in project["optional-dependencies"][name]]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("multispin_gym", extra("report", "ray", "render") | {"pandas"}),
        ("baselines", extra("fast")),
        ("agents", extra("report", "train", "search")),
        ("tests", extra("report", "train", "search", "ray", "render", "dev")),
        ("benchmarks", extra("report", "train", "search", "render", "dev", "benchmarks")),
    ],
)
def test_every_imported_distribution_is_declared(folder, allowed):
    files = [path for path in source_files(folder) if path.suffix == ".py"]
    imported = {
        name.partition(".")[0] for path in files for name in imported_names(ast.walk(ast.parse(path.read_text())))
    }
    known = sys.stdlib_module_names | {"multispin_gym"} | {path.stem for path in (*files, *ROOT.glob("*.py"))}
    providers = packages_distributions()
    for name in imported - known:
        assert allowed & set(map(canonicalize_name, providers.get(name, [name]))), f"{name} is not declared"


def pins(text, python="3.11"):
    """Version of each distribution that constraints pin for a version of Python."""
    lines = [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]
    valid = [line for line in lines if line.marker is None or line.marker.evaluate({"python_version": python})]
    found = {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in valid}
    assert len(found) == len(valid)
    return found


# What is asked for below what is tested: earlier releases of torch bring several GB of CUDA from the package index.
UNTESTED = {"torch": ("2.6", "2.13.0")}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lowest_constraints_are_the_lower_bounds(python):
    lowest = {}
    for requirement in requirements():
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            (bound,) = [part.version for part in requirement.specifier if part.operator == ">="]
            lowest[name] = max(Version(bound), lowest.get(name, Version("0")))
    for name, (bound, tested) in UNTESTED.items():
        assert lowest[name] == Version(bound)
        lowest[name] = Version(tested)
    text, _, brought = (ROOT / "constraints-lowest.txt").read_text().partition("# What these bring\n")
    assert {name: Version(version) for name, version in pins(text, python).items()} == lowest
    assert not set(pins(brought, python)) & set(lowest)


def test_constraints_pin_every_dependency_within_its_range():
    versions = pins((ROOT / "constraints.txt").read_text())
    assert versions["torch"] == "2.13.0"
    for requirement in requirements():
        pinned = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} is pinned to {pinned}"


def test_citation_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == VERSION
    assert citation["license"] == PYPROJECT["project"]["license"]
    (paper,) = citation["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2606.04581"
    assert [author["family-names"] for author in paper["authors"]] == ["Zheng", "Wang", "Cui", "Cai", "Du", "Huang"]


def test_changelog_keeps_its_form():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])


def test_pre_commit_runs_the_installed_tools_and_fetches_nothing():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    tools = {hook["entry"].split()[0]: hook["language"] for hook in config["repos"][0]["hooks"]}
    assert tools == {"ruff": "system", "mypy": "system"}

"""What the tests know of the repository's layout."""

import ast
import importlib
import os
import pkgutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Source folder -> the package that it is installed as.
PACKAGES = {"multispin_gym": "multispin_gym", "agents": "multispin_gym.agents", "baselines": "multispin_gym.baselines"}


def module_names() -> list[str]:
    """Names of all modules of the library, the mapped packages' included."""
    names = set()
    for package_name in PACKAGES.values():
        package = importlib.import_module(package_name)
        names.add(package_name)
        names.update(found.name for found in pkgutil.walk_packages(package.__path__, f"{package_name}."))
    return sorted(names)


def source_files(folder: str) -> Iterator[Path]:
    """Files of a source folder, without what the interpreter leaves there."""
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def tracked_files(*patterns: str) -> list[Path]:
    """Files under version control, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return sorted({path for path in paths if path.is_file() and not path.is_symlink()})


def without_coverage() -> dict[str, str]:
    """This process's environment for children whose lines need not be counted, which would only slow them down."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}


def until_there_is(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait for a file of a process that is under way, without keeping it from its core."""
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Full names of what the import statements among the nodes bring in."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole package"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

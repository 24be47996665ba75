"""Rules of the source tree that no linter knows."""

import ast
import re

import pytest
from library import PACKAGES, ROOT, imported_names, source_files, tracked_files

PYTHON = {path.relative_to(ROOT).as_posix(): path for path in tracked_files("*.py")}
LIBRARY = {
    path.relative_to(ROOT).as_posix(): path
    for folder in PACKAGES
    for path in source_files(folder)
    if path.suffix == ".py"
}


@pytest.mark.parametrize("name", PYTHON)
def test_mapped_packages_are_imported_by_their_installed_names(name):
    top_level = {
        imported.partition(".")[0] for imported in imported_names(ast.walk(ast.parse(PYTHON[name].read_text())))
    }
    assert not top_level & {"agents", "baselines"}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_modules_and_functions_stay_small(name):
    text = LIBRARY[name].read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 45, f"{node.name} has {length} lines"


@pytest.mark.slow
def test_no_file_names_a_machine_or_a_tracker():
    pattern = re.compile(
        r"\bissues? #?\d|/work/|/root/|/tmp/|\.\./shared|shared/design|/home/\w|\b(TODO|FIXME|XXX|HACK)\b",
        re.IGNORECASE,
    )
    found = []
    for path in tracked_files():
        if path.name == "test_source.py" or path.suffix in {".png", ".svg", ".safetensors", ".zip", ".npz", ".pdf"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found.extend(f"{path.relative_to(ROOT)}:{number} {match.group()}" for match in pattern.finditer(line))
    assert not found


def test_no_test_is_skipped_or_expected_to_fail():
    pattern = re.compile(r"pytest\.(skip|xfail|importorskip)|mark\.(skip|skipif|xfail)\b|unittest\.mock")
    found = [name for name, path in PYTHON.items() if name.startswith("tests/") and pattern.search(path.read_text())]
    assert set(found) <= {"tests/test_source.py"}

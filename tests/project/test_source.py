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


def outside_functions(tree):
    """Nodes that run when the module is imported."""
    pending = [tree]
    while pending:
        node = pending.pop()
        type_checking = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not type_checking:
            yield node
            pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("name", PYTHON)
def test_mapped_packages_are_imported_by_their_installed_names(name):
    top_level = {
        imported.partition(".")[0] for imported in imported_names(ast.walk(ast.parse(PYTHON[name].read_text())))
    }
    assert not top_level & {"agents", "baselines"}


@pytest.mark.parametrize("name", LIBRARY)
def test_imports_point_one_way(name):
    tree = ast.parse(LIBRARY[name].read_text())
    folder = name.partition("/")[0]
    if folder == "multispin_gym":
        names, forbidden = imported_names(outside_functions(tree)), ("multispin_gym.baselines", "multispin_gym.agents")
    elif folder == "baselines":
        names, forbidden = imported_names(ast.walk(tree)), ("multispin_gym.agents",)
    else:
        names, forbidden = iter(()), ()
    assert not [imported for imported in names if imported.startswith(forbidden or ("\0",))]


@pytest.mark.parametrize("name", LIBRARY)
def test_modules_and_functions_stay_small(name):
    text = LIBRARY[name].read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 45, f"{node.name} has {length} lines"


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

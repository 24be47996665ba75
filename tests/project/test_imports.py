"""The direction of imports: every module has its place in one order, and nothing below knows of what is above."""

import ast

import pytest
from library import PACKAGES, ROOT, imported_names, source_files

# From the bottom up. `measuring`, `live` and `explorer` are rooms that nothing lives in yet.
ORDER = (
    "base",
    "physics",
    "scenarios",
    "baselines",
    "rendering",
    "envs",
    "agents",
    "evaluation",
    "measuring",
    "live",
    "explorer",
    "commands",
)
# Modules of the package itself: helpers at the bottom, and the face, which shows what lies as high as the environments.
FACE = {"multispin_gym": "envs", "multispin_gym.wrappers": "envs", "multispin_gym.__main__": "commands"}
# Policies are loaded by name where they are evaluated: agents, in one place, when one is asked for.
LAZY = {("multispin_gym.evaluation.policies", "multispin_gym.agents")}


def module_of(path, folder):
    parts = path.relative_to(ROOT / folder).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join((PACKAGES[folder], *parts))


MODULES = {
    module_of(path, folder): path for folder in PACKAGES for path in source_files(folder) if path.suffix == ".py"
}


def layer(module):
    """Place of a module in the order."""
    if module in FACE:
        return ORDER.index(FACE[module])
    name = module.split(".")[1]
    return ORDER.index(name) if name in ORDER else ORDER.index("base")


def imports(module):
    """Modules of the library that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names = set(imported_names([node])) & set(MODULES)
        # `from multispin_gym import _toml` is about the module, not about the package that holds it.
        found |= {name for name in names if not any(other.startswith(f"{name}.") for other in names)}
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_nothing_from_above(module):
    above = {
        name
        for name in imports(module)
        if layer(name) > layer(module) and not any((module, name[: len(lazy)]) == (m, lazy) for m, lazy in LAZY)
    }
    assert not above


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if layer(name) == ORDER.index("base")])
def test_the_bottom_knows_nothing_of_drafts_and_cells(module):
    own = {name for name in imports(module) if layer(name) > 0}
    assert own <= set(FACE) if module == "multispin_gym._former_names" else not own


def test_agents_know_nothing_of_the_evaluation_and_it_of_them_in_one_place_only():
    agents = {name for name in MODULES if name.startswith("multispin_gym.agents")}
    evaluation = {name for name in MODULES if name.startswith("multispin_gym.evaluation")}
    assert not [name for name in agents if imports(name) & evaluation]
    assert [name for name in evaluation if imports(name) & agents] == ["multispin_gym.evaluation.policies"]


def test_baselines_know_nothing_of_environments():
    for module in MODULES:
        if module.startswith("multispin_gym.baselines"):
            names = set(imported_names(ast.walk(ast.parse(MODULES[module].read_text()))))
            assert not {name for name in names if name.startswith(("multispin_gym.envs", "gymnasium", "torch"))}


def test_every_folder_says_what_lives_in_it():
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text())), module


def test_no_environment_is_told_apart_by_its_id_outside_its_row():
    for module, path in MODULES.items():
        if module == "multispin_gym.envs.variants":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            for part in compared:
                assert "multispin_gym/" not in ast.unparse(part), f"{module}:{node.lineno}"
            if isinstance(node, (ast.Name, ast.arg)):
                assert (node.id if isinstance(node, ast.Name) else node.arg) != "is_homogeneous"
            assert not (isinstance(node, ast.Attribute) and node.attr == "homogeneous"), f"{module}:{node.lineno}"

"""Decisions from compiled loops: the same as NumPy's, loaded only when needed, and done without where numba is not."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_decisions import RULES, assert_alike, draw
from reference import FORMS, random_cell

from multispin_gym import load_scenario
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.solver import switch
from multispin_gym.baselines.solver.deadline import least_deadline
from multispin_gym.baselines.solver.share_curves import ShareCurves

HERE = Path(__file__).parent


def run(code, **environment):
    places = os.pathsep.join([str(HERE), str(HERE.parent)])
    return subprocess.run(
        [sys.executable, *code],
        env={**os.environ, "PYTHONPATH": places, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("form", FORMS, ids="-".join)
@pytest.mark.parametrize("shortest", [0, 1])
def test_compiled_loops_decide_as_numpy_does(name, form, shortest):
    rng = np.random.default_rng(60 + shortest)
    for num_users in (1, 4, 9):
        cell = random_cell(rng, *form, shortest, longest=7)
        assert_alike(name, draw(rng, (12, num_users)), cell)


@pytest.mark.parametrize("preset", ["paper_qwen35", "default", "qwen35_27b_eager"])
def test_compiled_loops_decide_as_numpy_does_in_the_presets(preset):
    scenario = load_scenario(preset)
    users = scenario.sample_users(np.random.default_rng(3), 20, (20,))
    for name in ("nested_polished", "heterogeneous"):
        assert_alike(name, users, scenario.cell)


@pytest.mark.parametrize("power", ["total", "density"])
def test_compiled_deadlines_are_those_of_numpy_from_any_start(power):
    rng = np.random.default_rng(4)
    cell, users = random_cell(rng, "affine", "padded", power), draw(rng, (50, 6))
    curves, lengths = ShareCurves.of(users, cell), rng.integers(0, 9, (50, 6)).astype(float)
    with switch.plain():
        expected = least_deadline(curves, lengths)
    for factor in (None, 1e-3, 0.5, 1.0, 1.01, 30.0):
        start = None if factor is None else factor * expected
        np.testing.assert_allclose(least_deadline(curves, lengths, start), expected, rtol=1e-13)


@pytest.mark.slow
def test_the_loops_decide_alike_as_plain_python_too():
    assert run([str(HERE / "compiled_decisions.py")], NUMBA_DISABLE_JIT="1") == ["alike"]


def test_numba_is_not_loaded_before_a_decision():
    code = "import sys, multispin_gym, multispin_gym.baselines; print('numba' in sys.modules)"
    assert run(["-c", code]) == ["False"]


def test_without_numba_everything_works(monkeypatch):
    scenario = load_scenario("default")
    users = scenario.sample_users(np.random.default_rng(0))
    expected = make_controller("nested_polished")(users, scenario.cell).draft_lengths
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("multispin_gym.baselines.solver.compil")]:
        monkeypatch.delitem(sys.modules, name)
    switch._module.cache_clear()
    try:
        assert switch.compiled_rows() is None
        assert (make_controller("nested_polished")(users, scenario.cell).draft_lengths == expected).all()
    finally:
        switch._module.cache_clear()


def test_loops_are_compiled_where_there_is_nowhere_to_keep_them():
    if importlib.util.find_spec("numba") is None:
        assert switch.compiled_rows() is None
        return
    compiling = importlib.import_module("multispin_gym.baselines.solver.compiling")
    made = {}
    exec("def inverse(x): return 1.0 / x", made)  # from no file: numba has no place for it
    assert compiling.compiled(made["inverse"])(0.0) == np.inf


def test_a_module_that_is_missing_otherwise_is_not_taken_for_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "multispin_gym.baselines.solver.compiled_rows", None)
    switch._module.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match="compiled_rows"):
            switch.compiled_rows()
    finally:
        switch._module.cache_clear()


def test_warming_up_compiles_every_loop_over_the_rows_of_a_batch():
    rows = switch.compiled_rows()
    if rows is None:
        assert importlib.util.find_spec("numba") is None
        return
    rows.warm_up()
    # What only other loops call is not loaded by itself where all of them are kept from an earlier process.
    public = [value for name, value in vars(rows).items() if not name.startswith("_")]
    loops = [value for value in public if getattr(value, "__module__", "") == rows.__name__]
    compiled = [loop for loop in loops if hasattr(loop, "signatures")]
    assert len(compiled) >= 6
    assert all(loop.signatures for loop in compiled)


def test_lean_loops_call_nothing_that_makes_an_array():
    # Numba tells only where nothing else has compiled the same before, as on a machine that decides for the first time.
    known = {f"np.{name}" for name in ("exp", "expm1", "floor", "isfinite", "isnan", "log", "log1p", "rint")}
    seen = 0
    for path in sorted(Path(switch.__file__).parent.glob("compiled_*.py")):
        for function in ast.parse(path.read_text()).body:
            marks = {ast.unparse(mark) for mark in getattr(function, "decorator_list", [])}
            if marks & {"lean", "inlined"}:
                seen += 1
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                assert {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute)} <= known, function.name
                assert not any(isinstance(node, ast.Slice) for node in ast.walk(function)), function.name
    assert seen > 30

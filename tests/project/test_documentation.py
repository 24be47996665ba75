"""Docstrings: complete, true to the signatures, and with examples that run."""

import doctest
import importlib
import inspect
import io

import pytest
from library import module_names
from numpydoc.validate import validate

# No docstring; a parameter undocumented, unknown or without a description; a return value without one.
REFUSED = {"GL08", "PR01", "PR02", "PR07", "RT03"}


def public_names():
    """Dotted names of all public functions, classes, methods and properties that the library defines."""
    for module_name in module_names():
        if any(part.startswith("_") for part in module_name.split(".")):
            continue
        module = importlib.import_module(module_name)
        for name, value in vars(module).items():
            defined_here = getattr(value, "__module__", None) == module_name
            if name.startswith("_") or not defined_here or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            yield f"{module_name}.{name}"
            if inspect.isclass(value):
                yield from (f"{module_name}.{name}.{member}" for member in public_members(value))


def public_members(cls):
    for name, member in vars(cls).items():
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        if isinstance(member, property):
            member = member.fget
        function = getattr(member, "func", member)
        # Generated methods (of dataclasses and enumerations) have no source in the library.
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__ == cls.__module__:
            yield name


@pytest.mark.parametrize("name", sorted(public_names()))
def test_public_names_are_documented_with_the_parameters_that_they_have(name):
    errors = [f"{code} {text}" for code, text in validate(name)["errors"] if code in REFUSED]
    assert not errors


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(example, out=report.write)
    assert not runner.failures, report.getvalue()


def misspelt(alpha: float, length: int) -> float:
    """Compute something.

    Parameters
    ----------
    alpha
        A rate.
    lenght
        A length.

    Returns
    -------
    float
        Something.
    """
    return alpha * length


def undocumented(alpha: float, length: int) -> float:
    """Compute something.

    Parameters
    ----------
    alpha
        A rate.
    """
    return alpha * length


@pytest.mark.parametrize(("function", "code"), [(misspelt, "PR02"), (misspelt, "PR01"), (undocumented, "PR01")])
def test_the_check_sees_misspelt_and_undocumented_parameters(function, code):
    assert code in {found for found, _ in validate(f"{__name__}.{function.__name__}")["errors"]}

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


# The face: what these offer in ``__all__``, or all that they define. What lies behind it says its shapes in a sentence.
FACE = (
    "multispin_gym",
    "multispin_gym.physics",
    "multispin_gym.physics.protocols",
    "multispin_gym.scenarios",
    "multispin_gym.baselines",
    "multispin_gym.baselines.reference",
    "multispin_gym.envs",
    "multispin_gym.envs.registration",
    "multispin_gym.envs.variants",
    "multispin_gym.wrappers",
    "multispin_gym.rendering",
    "multispin_gym.statistics",
    "multispin_gym.runner",
    "multispin_gym.evaluation",
    "multispin_gym.commands",
    "multispin_gym.agents",
)


def public_names():
    """Dotted names of all functions, classes, methods and properties of the face, where they are defined."""
    for module_name in FACE:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
            value = getattr(module, name)
            home = str(getattr(value, "__module__", ""))
            offered = hasattr(module, "__all__") and home.startswith("multispin_gym")
            if not (inspect.isclass(value) or inspect.isfunction(value)) or not (offered or home == module_name):
                continue
            yield f"{home}.{name}"
            if inspect.isclass(value):
                yield from (f"{home}.{name}.{member}" for member in public_members(value))


def public_members(cls):
    fields = getattr(cls, "__dataclass_fields__", {})
    for name, member in vars(cls).items():
        # A field whose default is a function is no method.
        if name in fields:
            continue
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        if isinstance(member, property):
            member = member.fget
        function = getattr(member, "func", member)
        # Generated methods (of dataclasses and enumerations) have no source in the library.
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__ == cls.__module__:
            yield name


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_public_names_are_documented_with_the_parameters_that_they_have(name):
    errors = [f"{code} {text}" for code, text in validate(name)["errors"] if code in REFUSED]
    assert not errors


def test_the_face_is_wide():
    names = set(public_names())
    assert len(names) > 150
    assert {
        "multispin_gym.physics.rounds.play_round",
        "multispin_gym.evaluation.evaluator.evaluate",
        "multispin_gym.envs.single.MultiSpinEnv.step",
        "multispin_gym.agents.config.TrainConfig",
    } <= names


@pytest.mark.parametrize("name", module_names())
def test_every_module_function_and_class_says_what_it_is(name):
    module = importlib.import_module(name)
    silent = [
        member
        for member, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
        and not member.startswith("_")
        and not value.__doc__
    ]
    assert module.__doc__
    assert not silent


@pytest.mark.slow
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

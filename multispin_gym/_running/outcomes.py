"""One task done: in this process, or from bytes to bytes in a worker."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from multispin_gym._running.interrupts import Flag, telling


class Outcome(NamedTuple):
    """How a task ended.

    ``value`` is the result of a finished task, the exception of a failed one, and the exit code of the worker that was
    lost with the task. ``told`` says that the task knows of an interrupt.
    """

    kind: Literal["finished", "failed", "interrupted", "lost"]
    value: Any = None
    told: bool = False


def perform(function: Callable[..., Any], arguments: tuple[Any, ...], flag: Flag) -> Outcome:
    """Do a task, unless an interrupt came before it began."""
    if flag.is_set():
        return Outcome("interrupted", told=True)
    try:
        with telling(flag):
            result = function(*arguments)
    except KeyboardInterrupt:
        flag.set()
        return Outcome("interrupted", told=True)
    except BaseException as error:
        return Outcome("failed", error, flag.is_set())
    return Outcome("finished", result, flag.is_set())


def perform_packed(payload: bytes, flag: Flag, dumps: Callable[[Any], bytes] = pickle.dumps) -> bytes:
    """Do a task that came pickled; its outcome goes back the same way, whatever happens."""
    try:
        function, arguments = pickle.loads(payload)
    except Exception as error:
        outcome = Outcome("failed", TypeError(f"cannot be unpickled in a worker: {error}"))
    else:
        outcome = perform(function, arguments, flag)
    if outcome.kind == "failed":
        return dumps(outcome._replace(value=_portable(outcome.value, dumps)))
    try:
        return dumps(outcome)
    except Exception as error:
        refused = TypeError(f"its result cannot be pickled: {error}")
        return dumps(Outcome("failed", refused, outcome.told))


def unpack(data: bytes) -> Outcome:
    """Return the outcome that came back from a worker."""
    try:
        outcome: Outcome = pickle.loads(data)
    except Exception as error:
        return Outcome("failed", TypeError(f"its result cannot be unpickled: {error}"))
    return outcome


def _portable(error: BaseException, dumps: Callable[[Any], bytes]) -> BaseException:
    """Return an exception that survives the way back, with the worker's traceback as a note."""
    lines = "".join(traceback.format_exception(error)).rstrip()
    try:
        pickle.loads(dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In the worker:\n{lines}")
    return error


def name_failure(name: str, error: BaseException) -> BaseException:
    """Put a task's name before an exception's message where the type allows it, and into a note where not."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        before, message = error.args, f"{name}: {error.args[0]}"
        error.args = (message,)
        if str(error) == message:
            return error
        error.args = before
    error.add_note(f"In the task {name}.")
    return error

"""TOML in and out for small trees of dataclasses, with errors that name the dotted path."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from multispin_gym._validation import nearest, one_line, shown, shown_name, shown_path

T = TypeVar("T")
Parser = Callable[[Any, str], Any]

UNLESS_DEFAULT: Mapping[str, bool] = MappingProxyType({"unless_default": True})
"""Metadata of a dataclass's field that is written only where it is not its default."""

# The parser's time grows with the text, and with the square of the parts of a key.
LONGEST_TEXT = 500_000
MOST_PARTS = 32
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}}")


class NotTomlError(ValueError):
    """A text is not TOML."""


def read(text: str, name: str = "the text") -> dict[str, Any]:
    """Read TOML of at most :data:`LONGEST_TEXT` characters; whatever is wrong gives one ``ValueError``."""
    name = shown_path(name)
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{name} must have at most {LONGEST_TEXT} characters, got {len(text)}")
    if _LONG_KEY.search(text):
        raise ValueError(f"{name} has a key of more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:
        # Not only the parser's own errors: whole numbers of thousands of digits have another.
        raise NotTomlError(f"{name} is not valid TOML: {one_line(error)}") from None


def read_value(text: str, name: str) -> Any:
    """Read one value; what is no value of TOML's gives a :class:`NotTomlError`."""
    table = read(f"value = {text}", name)
    if set(table) != {"value"}:
        raise NotTomlError(f"{name} must be one value, got {shown(text)}")
    return table["value"]


def dotted(path: str, key: str) -> str:
    """Join a path and a key."""
    return f"{path}.{key}" if path else key


@contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Put a prefix before the message of a refused value."""
    try:
        yield
    except TypeError as error:
        raise TypeError(f"{prefix}{error}") from error
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from error


def check_table(value: Any, path: str) -> dict[str, Any]:
    """Return ``value`` if it is a TOML table."""
    if not isinstance(value, dict):
        raise TypeError(f"{path} must be a table, got {shown(value)}")
    return value


def check_keys(table: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    """Refuse a key that is not known, pointing at the nearest that is."""
    names = list(known)
    for key in table:
        if key not in names:
            where = f"[{path}]" if path else "a scenario"
            raise ValueError(
                f"{dotted(path, shown_name(key))} is not a key of {where}, which takes {', '.join(names)}."
                f"{nearest(key, names)}"
            )


def build(
    cls: type[T], value: Any, path: str, parsers: Mapping[str, Parser] | None = None, *, prefix: str | None = None
) -> T:
    """Build a dataclass, which validates its own values, from a table whose keys are its fields."""
    table = check_table(value, path)
    specs = fields(cls)  # type: ignore[arg-type]
    check_keys(table, (spec.name for spec in specs), path)
    for spec in specs:
        if spec.name not in table and spec.default is MISSING:
            raise ValueError(f"{dotted(path, spec.name)} is missing")
    values = dict(table)
    for name, parse in (parsers or {}).items():
        if name in table:
            values[name] = parse(table[name], dotted(path, name))
    with prefixed(dotted(path, "") if prefix is None else prefix):
        return cls(**values)


def build_list(cls: type[T], value: Any, path: str) -> tuple[T, ...]:
    """Build one dataclass for each table of an array; see :func:`build`."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise TypeError(f"{path} must be an array of tables, [[{path}]], got {shown(value)}")
    return tuple(build(cls, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def tree(value: Any) -> Any:
    """Turn dataclasses and tuples into what TOML holds: dictionaries without their empty fields, and lists."""
    if is_dataclass(value):
        named = {
            spec.name: getattr(value, spec.name)
            for spec in fields(value)
            if not spec.metadata.get("unless_default") or getattr(value, spec.name) != spec.default
        }
        return {name: tree(entry) for name, entry in named.items() if entry is not None}
    if isinstance(value, (list, tuple)):
        return [tree(entry) for entry in value]
    return value


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(entry) for entry in value)}]"
    if isinstance(value, str):
        # JSON escapes are TOML escapes, but JSON leaves DEL as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def emit(table: Mapping[str, Any], path: str = "") -> str:
    """Write a tree of tables, arrays of tables, strings, numbers and arrays of them as TOML."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict) and not _is_tables(value)}
    text = "".join(f"{key} = {_inline(value)}\n" for key, value in plain.items())
    for key, value in table.items():
        name = dotted(path, key)
        if isinstance(value, dict):
            text += f"\n[{name}]\n{emit(value, name)}"
        elif _is_tables(value):
            text += "".join(f"\n[[{name}]]\n{emit(entry, name)}" for entry in value)
    return text

"""Hostile values as text: what takes the place of a value in a TOML or JSON file, and what bytes may come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
Path = tuple[Any, ...]


class Raw(str):
    """Text that stands in a file as it is."""


_DEEP = 10_000
_NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "0.5",
    "-0.0",
    "1e308",
    "-1e308",
    "1e-308",
    "5e-324",
    "1e51",
    "1e50",
    "1e-50",
    "1e-51",
    "1e18",
    "1e12",
    "1e9",
    "1000000000",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
]
_STRINGS = ("", " ", "x", "true", "NaN", "1e3", "\u0000", "\x1b[31mred", "two\nlines", "\r", "\u202eright to left")
_STRINGS += ("\u2028", "ümläut 中 \U0001f600", "../../etc/passwd", "/", "%s%n{0}{x}", "x" * 100_000, "\n" * 1000)
NUMBERS: tuple[str, ...] = (*_NUMBERS, "1" + "0" * 400, "1" + "0" * 5000, "-1" + "0" * 400)
WORDS = tuple(json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") for text in _STRINGS)
LISTS = ("[]", "[[]]", "[[[1.0]]]", "[1, 2]", "[2, 1]", "[0, 0]", "[-1, -1]", "[1, 2, 3]", "[1e308, 1e308]", "[1]")
LISTS += ('["a", "b"]', "[true, false]", "[1, []]", "[1e-50, 1e50]", '["x", 1]', "[1e-308, 1e308]")
LONG = ("[" + "0," * 3_000_000 + "0]", "[" + "1," * 200_000 + "1]", "[" + '"",' * 100_000 + '""]')
LONG += ("[" * _DEEP + "]" * _DEEP, "[" * 90 + "1" + "]" * 90, '"' + "y" * 20_000_000 + '"')
TOML = (*NUMBERS, *WORDS, *LISTS, *LONG, "nan", "-nan", "inf", "-inf", "1e400", "true", "false", "[nan, 1]", "[{}]")
TOML += ("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "{}", "{a = 1}", "[inf, inf]", "0x" + "f" * 10_000)
TOML += ("{a = " * _DEEP + "1" + "}" * _DEEP, '{"" = 1}', '{protocol = "top_k"}', "{protocol = 1}", "[{a = 1}, 1]")
JSON = (*NUMBERS, *WORDS, *LISTS, *LONG, "NaN", "Infinity", "-Infinity", "1e400", "true", "false", "null", "{}")
JSON += ('{"a": 1}', '"\\ud800"', '{"a":' * _DEEP + "1" + "}" * _DEEP, "[null]", "[NaN, 1]", '{"": {"": []}}')
# Several keys at a time take values out of what is allowed, from end to end.
ALLOWED = {
    **dict.fromkeys(
        ("bandwidth", "noise_psd", "noise_power", "reference_power", "fixed", "scale", "weight"), (1e-50, 1e50)
    ),
    **dict.fromkeys(("payload", "per_draft", "per_token", "tail_per_token"), (1e-50, 1e50)),
    **dict.fromkeys(("distance", "mean_gain"), (1e-50, 1e50)),
    "seconds": (1e-50, 1e50),
    **dict.fromkeys(("round_trip", "downlink", "downlink_payload"), (1e-50, 1e50)),
    **dict.fromkeys(("episode_seconds", "round_timeout", "coherence_time", "report_age"), (1e-6, 1e9)),
    **dict.fromkeys(("cutoff_min", "cutoff_max"), (1e-6, 1e9)),
    "report_noise_db": (1e-3, 100.0),
    **dict.fromkeys(("load", "reference_goodput", "reference_time_per_token", "slack"), (1e-9, 1e9)),
    "speed_range": (1e-30, 1e30),
    "speeds": (1e-30, 1e30),
    "time_range": (1e-30, 1e30),
    "beta": (1e-3, 1e6),
    "rate_range": (1e-20, 1.0),
    "rate": (1e-20, 1.0),
    "deviation": (1e-20, 0.5),
    "exponent": (1e-3, 100.0),
}


def paths(tree: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the way to every value of a tree of dictionaries and lists, those in between included.

    Of long lists only the ends count.
    """
    inner = list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ())
    for key, value in inner if len(inner) < 20 or isinstance(tree, dict) else (inner[0], inner[-1]):
        yield (*at, key)
        yield from paths(value, (*at, key))


def leaf(path: Path) -> str:
    """Return the last name on a way."""
    return str(next(step for step in reversed(path) if isinstance(step, str)))


def dotted(path: Path) -> str:
    """Write a way as messages do."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def put(tree: Any, path: Path, value: Any) -> Any:
    """Return a tree with one value changed."""
    if not path:
        return value
    here = dict(tree) if isinstance(tree, dict) else list(tree)
    here[path[0]] = put(here[path[0]], path[1:], value)
    return here


def get(tree: Any, path: Path) -> Any:
    """Return a value of a tree."""
    for step in path:
        tree = tree[step]
    return tree


def without(tree: Any, path: Path) -> Any:
    """Return a tree with one value left out."""
    here = get(tree, path[:-1])
    rest = dict(here) if isinstance(here, dict) else list(here)
    del rest[path[-1]]
    return put(tree, path[:-1], rest)


def toml_text(tree: dict[str, Any]) -> str:
    """Write a tree as TOML, a line for each key at the top."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in tree.items())


def _key(key: str) -> str:
    return key if isinstance(key, Raw) else json.dumps(key).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, Raw) else json.dumps(value)


def json_text(value: Any) -> str:
    """Write a tree as JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {json_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return str(value) if isinstance(value, Raw) else json.dumps(value)


def random_value(rng: Rng, literals: Sequence[str]) -> Raw:
    """Draw a value: a number of any size, a text of any signs, a list of them, or one of the literals."""
    kind = rng.integers(5)
    if kind == 0:
        return Raw(f"{'-' if rng.random() < 0.3 else ''}{10.0 ** rng.uniform(-320.0, 308.0):.17g}")
    if kind == 1:
        return Raw(str(int(2.0 ** rng.uniform(0.0, 1000.0)) * int(rng.choice([-1, 1]))))
    if kind == 2:
        return Raw(json.dumps(random_text(rng, int(10.0 ** rng.uniform(0.0, 4.0))), ensure_ascii=False))
    if kind == 3:
        count = int(rng.integers(6))
        return Raw("[" + ", ".join(random_value(rng, literals) for _ in range(count)) + "]")
    short = [literal for literal in literals if len(literal) < 10_000]
    return Raw(short[int(rng.integers(len(short)))])


def random_text(rng: Rng, length: int) -> str:
    """Draw a text of signs that exist."""
    points = rng.integers(0, int(rng.choice([0x80, 0x800, 0x10000])), length)
    return "".join(chr(point) for point in points.tolist() if not 0xD800 <= point < 0xE000)


def mutate(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """Change some bytes: others, gone, doubled, cut off, more of them; say what was done."""
    data = bytearray(data)
    kind = str(rng.choice(["flip", "set", "delete", "insert", "repeat", "truncate", "swap", "digit"]))
    for _ in range(int(rng.integers(1, 6))):
        if not data:
            break
        at = int(rng.integers(len(data)))
        end = min(len(data), at + int(10.0 ** rng.uniform(0.0, 2.5)))
        if kind == "flip":
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == "set":
            data[at] = int(rng.choice([0, 9, 10, 13, 27, 34, 39, 44, 46, 48, 57, 61, 91, 93, 123, 125, 127, 200, 255]))
        elif kind == "delete":
            del data[at:end]
        elif kind == "insert":
            data[at:at] = rng.bytes(end - at)
        elif kind == "repeat":
            data[at:at] = data[at:end] * int(rng.integers(1, 50))
        elif kind == "truncate":
            del data[at:]
        elif kind == "swap":
            other = int(rng.integers(len(data)))
            data[at], data[other] = data[other], data[at]
        else:
            places = [place for place, byte in enumerate(data[:100_000]) if 48 <= byte < 58]
            if places:
                place = places[int(rng.integers(len(places)))]
                data[place : place + 1] = str(int(10.0 ** rng.uniform(0.0, 18.0))).encode()
    return kind, bytes(data)

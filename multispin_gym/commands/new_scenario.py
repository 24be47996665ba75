"""``multispin new``: a commented template of a scenario."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from multispin_gym._files import write_atomically
from multispin_gym._validation import one_line, shown, shown_path

_NAME = 'name = "my_cell"'


def template(name: str) -> str:
    """Return the text of a new scenario's file: every key with its unit, its range and its default."""
    text = files("multispin_gym.commands").joinpath("template.toml").read_text(encoding="utf-8")
    return text.replace(_NAME, f"name = {json.dumps(name, ensure_ascii=False)}", 1)


def main(args: Sequence[str], prog: str = "multispin new") -> int:
    """Write a template to a file that does not exist yet; exit status 0, or 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Write a scenario's file with every key, its unit, range and default. It plays as it is: edit what "
        "is different in your cell.",
    )
    parser.add_argument("file", type=Path, help="file to write, such as cell.toml; must not exist")
    path: Path = parser.parse_args(args).file
    try:
        if path.suffix != ".toml":
            raise ValueError(f"file must end in .toml, so that --scenario knows it for a file; got {shown(str(path))}")
        if path.exists():
            raise FileExistsError(f"{shown_path(path)} exists already: nothing was written")
        write_atomically(path.parent, {path.name: template(path.stem).encode()})
    except (ValueError, OSError) as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 2
    print(f"written to {path}; it plays as it is: multispin evaluate --scenario {path}")
    return 0

"""The comparison of two checkouts notices what differs, and measures both in turns."""

import json
import sys

import pytest

pytestmark = pytest.mark.slow

# Both interpreters append to one file, so that what each of them finds there tells which turn it is.
PROBE = """
import json, os, sys, pathlib
turns = pathlib.Path({folder!r}, sys.argv[1])
turn = len(turns.read_text()) if turns.exists() else 0
turns.write_text("x" * (turn + 1))
if sys.argv[1] == "results":
    here, other = {results}
    print(json.dumps(other if turn else here))
else:
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
    print(json.dumps({{"first": 2.0 + turn, "second": 1.0 + turn % 2}}))
"""


@pytest.fixture
def compare(benchmark, tmp_path):
    def run(here, other, *options):
        probe = tmp_path / "fake_probe.py"
        probe.write_text(PROBE.format(folder=str(tmp_path), results=repr((here, other))))
        arguments = ["--other", sys.executable, "--probe", str(probe), "--output", str(tmp_path / "out"), *options]
        return benchmark("releases").main(arguments)

    return run


def test_equal_results_pass_and_times_are_compared_turn_by_turn(compare, tmp_path):
    assert compare({"a": "1", "b": "2", "new": "3"}, {"b": "2", "a": "1", "old": "4"}, "--repeats", "3") == 0
    report = json.loads((tmp_path / "out" / "releases.json").read_text())
    assert report["results"] == {
        "equal": 2,
        "different": [],
        "only_here": ["new"],
        "only_in_the_other": ["old"],
    }
    # Runs take turns: the first has turns 0, 2 and 4, the second 1, 3 and 5.
    first, second = report["speed"]["first"], report["speed"]["second"]
    assert (first["here"], first["other"]) == ([2.0, 4.0, 6.0], [3.0, 5.0, 7.0])
    assert first["ratio"] == pytest.approx(4 / 5)
    assert first["ratio_range"] == pytest.approx([2 / 3, 6 / 7])
    assert second["ratio_range"] == [0.5, 0.5]
    page = (tmp_path / "out" / "releases.md").read_text()
    assert "2 results are equal bit for bit, 0 differ." in page
    assert "Only in the other:\n\n- old\n" in page
    assert "| first | 4 | 5 | 0.800 (0.667, 0.857) |" in page


def test_a_result_that_differs_is_named_and_fails(compare, tmp_path):
    assert compare({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, "--repeats", "1") == 1
    assert "Different:\n\n- b\n" in (tmp_path / "out" / "releases.md").read_text()


def test_a_probe_that_fails_is_one_readable_line(benchmark, tmp_path, capsys):
    probe = tmp_path / "fake_probe.py"
    probe.write_text("raise SystemExit('no such result')\n")
    options = ["--other", sys.executable, "--probe", str(probe), "--output", str(tmp_path / "out")]
    assert benchmark("releases").main(options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("no such result")
    assert not (tmp_path / "out").exists()

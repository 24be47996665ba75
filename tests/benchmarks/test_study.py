"""What the studies share: pieces are kept and resumed, reports hold what was found, and endings say what happened."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow


@pytest.fixture
def study(benchmark):
    return benchmark("_study")


@pytest.fixture
def report(benchmark):
    return benchmark("_report")


def piece(folder, number, broken):
    """Leave a trace of every call, and fail as long as it is broken."""
    with (folder / f"calls-{number}").open("a") as calls:
        calls.write("x")
    if broken.exists() and number == 2:
        raise KeyboardInterrupt
    return {"number": number, "square": (number, number**2)}


def test_pieces_that_an_interrupted_study_has_finished_are_not_done_again(study, tmp_path):
    broken = tmp_path / "broken"
    broken.touch()
    options = study.StudyInPieces(output=tmp_path / "out")
    pieces = {("a piece", number): (tmp_path, number, broken) for number in (1, 2, 3)}
    with pytest.raises(KeyboardInterrupt, match="1 of 3"):
        options.do(piece, pieces)
    broken.unlink()
    resumed = dataclasses.replace(options, resume=True)
    found = resumed.do(piece, pieces)
    assert found == {("a piece", number): {"number": number, "square": [number, number**2]} for number in (1, 2, 3)}
    assert [(tmp_path / f"calls-{number}").read_text() for number in (1, 2, 3)] == ["x", "xx", "x"]
    resumed.write({"report.json": list(found.values()), "page.md": "a page\n", "picture.png": b"\x89"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["page.md", "picture.png", "report.json"]


def test_a_study_that_writes_its_report_leaves_the_pieces_of_others(study, tmp_path):
    class Other(study.StudyInPieces):
        pass

    ours, other = (kind(output=tmp_path) for kind in (study.StudyInPieces, Other))
    for options in (ours, other):
        options.do(piece, {"one": (tmp_path, 1, tmp_path / "broken")})
    ours.write({})
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == ["other"]
    other.write({})
    assert not (tmp_path / "tasks").exists()


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (ValueError("no such\n  scenario"), 1, "error: no such scenario"),
        (OSError("a full disk"), 1, "error: a full disk"),
        (KeyboardInterrupt(), 130, "interrupted: nothing was written"),
        (None, 0, None),
    ],
)
def test_a_study_ends_with_a_status_and_a_line(study, tmp_path, capsys, raised, status, line):
    def work(options, command):
        assert command == f"python benchmarks/test_study.py --output {tmp_path}"
        assert options.output == tmp_path
        if raised is not None:
            raise raised

    assert study.run(study.Study, work, ["--output", str(tmp_path)]) == status
    assert capsys.readouterr().err.splitlines() == ([] if line is None else [line])


def test_an_option_that_does_not_exist_is_one_line(study, capsys):
    assert study.run(study.Study, lambda options, command: 0, ["--outptu", "x"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--outptu" in line


def test_users_are_those_that_the_scenario_draws_for_the_seed(study):
    default = study.OverScenarios(scenarios=("laptops_60ms",)).loaded()["laptops_60ms"]
    users = study.draw_users(default, 3, 7)
    assert users.batch_shape == (3,)
    assert repr(users) == repr(study.draw_users(default, 3, 7, default.num_users))
    assert repr(users) != repr(study.draw_users(default, 3, [7, 1]))


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def test_json_is_read_back_as_it_was(report):
    @given(NESTED)
    def check(data):
        assert json.loads(report.json_text(data)) == data

    check()


def test_json_has_a_line_for_what_holds_nothing_nested(report):
    data = {"seed": 1, "rows": [{"a": 1.5, "b": "x"}, [1, 2]], "empty": {}}
    lines = ["{", ' "seed": 1,', ' "rows": [', '  {"a": 1.5, "b": "x"},', "  [1, 2]", " ],", ' "empty": {}', "}"]
    assert report.json_text(data).splitlines() == lines
    assert json.loads(report.json_text({3: math.pi})) == {"3": math.pi}


def test_tables_and_intervals_are_written_out(report):
    assert report.table(["name", "value"], [["a", "1"], ["b", "2"]]) == (
        "| name | value |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n"
    )
    assert report.interval_text({"mean": 0.25, "ci95": [0.125, 0.5]}, "+.1%") == "+25.0% (+12.5%, +50.0%)"
    assert report.interval_text({"mean": 0.25, "ci95": None}, ".2f") == "0.25"


def test_a_report_names_its_command_and_its_machine(report):
    head = report.head("python a.py")
    assert head["command"] == "python a.py"
    assert head["versions"]["python"]
    assert str(head["machine"]["cores"]) in report.machine_text(head)

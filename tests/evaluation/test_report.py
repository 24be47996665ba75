"""The evaluation on disk and on the terminal: the promised format, exact numbers, whole files."""

import csv
import dataclasses
import io
import json
import os
import pickle
import signal
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

import multispin_gym.evaluation.figures
from multispin_gym import load_scenario
from multispin_gym._files import write_atomically
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.figures import draw_result
from multispin_gym.evaluation.report import check_output, save, to_csv, to_json, to_table, versions

MEASURES = ["goodput", "ratio_to_optimum", "long_run_goodput", "jain_index", "worst_user_rate"]


@pytest.fixture(scope="module")
def result():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=3, num_rounds=5)
    return evaluate(
        ["server_only", "uniform_best", "heterogeneous"], scenario, episodes=6, seed=70, baseline="uniform_best"
    )


def test_json_has_the_promised_keys_and_the_aggregates_of_the_episodes(result):
    data = json.loads(to_json(result, "python evaluate.py --seed 70"))
    assert {"scenario", "reference", "num_users", "episodes", "seed", "versions", "command", "policies"} <= data.keys()
    promised = (data["scenario"], data["reference"], data["num_users"], data["episodes"], data["seed"])
    assert promised == ("laptops_60ms", "certificate", 3, 6, 70)
    assert data["command"] == "python evaluate.py --seed 70"
    assert data["versions"]["numpy"] == np.__version__
    assert list(data["policies"]) == ["server_only", "uniform_best", "heterogeneous"]
    for name, measures in data["policies"].items():
        extra = ["lowest_decile_ratio_to_optimum", "iqm_ratio_to_optimum", "regret_to_nested_polished"]
        assert list(measures) == [*MEASURES, *extra, "gain_over_server_only", "gain_over_baseline"]
        policy = result.policies[name]
        for measure in MEASURES:
            values = getattr(policy, measure)
            low, high = measures[measure]["ci95"]
            if measure != "ratio_to_optimum":
                assert measures[measure]["mean"] == pytest.approx(values.mean(), rel=1e-12)
            # A mean of numbers that are nearly alike may round to just beside them.
            assert values.min() * (1.0 - 1e-12) <= low <= high <= values.max() * (1.0 + 1e-12)
        sums = policy.goodput.sum() / result.reference_goodput.sum()
        assert measures["ratio_to_optimum"]["mean"] == pytest.approx(sums, rel=1e-12)
        rule = result.nested_polished.goodput
        assert measures["regret_to_nested_polished"]["mean"] == pytest.approx(1.0 - policy.goodput.sum() / rule.sum())
        assert measures["regret_to_nested_polished"]["mean"] <= measures["regret_to_nested_polished"]["ci95"][1]
        lowest = measures["lowest_decile_ratio_to_optimum"]["mean"]
        assert lowest == pytest.approx(np.quantile(policy.ratio_to_optimum, 0.1))
    assert data["reference_goodput"]["mean"] == pytest.approx(result.reference_goodput.mean())
    assert data["alarms"] == {}


def test_json_of_a_single_episode_says_null_for_the_intervals():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=2, num_rounds=2)
    data = json.loads(to_json(evaluate(["uniform_best"], scenario, episodes=1)))
    assert data["policies"]["uniform_best"]["goodput"]["ci95"] is None
    assert data["policies"]["uniform_best"]["goodput"]["mean"] > 0.0


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    def unknown(name):
        raise versions.__globals__["metadata"].PackageNotFoundError(name)

    monkeypatch.setattr("multispin_gym.evaluation.report.metadata.version", unknown)
    assert set(versions()) == {"python", "platform"}


def test_csv_gives_every_episode_back_exactly(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert list(rows[0]) == ["policy", "episode", "seed", *MEASURES]
    assert len(rows) == 3 * 6
    for name, policy in result.policies.items():
        mine = [row for row in rows if row["policy"] == name]
        assert [int(row["seed"]) for row in mine] == [70, 71, 72, 73, 74, 75]
        for measure in MEASURES:
            assert [float(row[measure]) for row in mine] == getattr(policy, measure).tolist()


def test_table_shows_every_policy_with_its_interval_in_any_width(result):
    for width, lines in ((90, 2), (130, 1)):
        console = Console(width=width, file=io.StringIO(), force_terminal=False)
        console.print(to_table(result, width))
        text = console.file.getvalue()
        assert "laptops_60ms: 3 users, 6 episodes of 5 rounds" in " ".join(text.split())
        estimate = result.estimates["heterogeneous"]["ratio_to_optimum"]
        low, high = estimate.ci95
        assert f"{estimate.mean:.4f}" in text
        assert f"({low:.4f}, {high:.4f})" in text
        start = next(i for i, line in enumerate(text.splitlines()) if "heterogeneous" in line)
        assert ("(" in text.splitlines()[start]) == (lines == 1)


@pytest.mark.slow
def test_names_are_shown_as_they_are_whatever_brackets_and_dollars_they_hold():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=2, num_rounds=2)
    name = "runs/[bold]a$very_long$name/that/goes/on/and/on[/bold]"
    result = evaluate({name: "uniform_best", "b": "random"}, scenario, episodes=2)
    console = Console(width=200, file=io.StringIO())
    console.print(to_table(result, 200))
    assert name in console.file.getvalue()
    assert draw_result(result).startswith(b"\x89PNG")


def test_table_of_one_episode_has_no_intervals():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=2, num_rounds=2)
    table = to_table(evaluate(["uniform_best"], scenario, episodes=1))
    assert "(" not in "".join(str(cell) for column in table.columns[1:] for cell in column.cells)


def test_picture_is_a_png_with_a_row_of_ink_for_every_policy(result):
    picture = matplotlib.image.imread(io.BytesIO(draw_result(result)))
    assert picture.shape[0] > 300
    assert picture.shape[1] > 1000
    blue = (abs(picture[..., :3] - np.array([31, 95, 168]) / 255).max(axis=-1) < 0.02).any(axis=1)
    # Runs of rows that hold the means' colour: one for each policy, besides the diamond of the legend.
    assert int((np.diff(blue.astype(int)) == 1).sum()) == 3 + 1


def test_picture_of_a_single_episode_is_drawn_without_intervals():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=2, num_rounds=2)
    assert draw_result(evaluate(["server_only"], scenario, episodes=1)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_results_are_written_whole_and_replaced_by_the_next(result, tmp_path):
    directory = tmp_path / "new" / "results"
    assert save(result, directory, "first")
    assert sorted(path.name for path in directory.iterdir()) == ["results.csv", "results.json", "results.png"]
    before = (directory / "results.json").read_bytes()
    assert save(result, str(directory), "first")
    assert (directory / "results.json").read_bytes() == before
    save(result, directory, "second")
    assert json.loads((directory / "results.json").read_text())["command"] == "second"
    assert len(list(directory.iterdir())) == 3


def test_a_failure_in_the_plot_leaves_earlier_results_as_they_were(result, tmp_path, monkeypatch):
    def broken(result):
        raise RuntimeError("no ink")

    save(result, tmp_path / "old", "earlier")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    monkeypatch.setattr(multispin_gym.evaluation.figures, "draw_result", broken)
    for directory in ("old", "new"):
        with pytest.raises(RuntimeError, match="no ink"):
            save(result, tmp_path / directory, "later")
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_earlier_files_as_they_were(tmp_path, victim):
    code = f"""
import os, signal, sys
from multispin_gym._files import write_atomically
from pathlib import Path
if sys.argv[2:]:
    os.{victim} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
new, old = {{"a.json": b"x" * 10_000, "b.csv": b"y"}}, {{"a.json": b"old"}}
write_atomically(Path(sys.argv[1]), new if sys.argv[2:] else old)
"""
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", code, tmp_path, "die"], check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert not (tmp_path / "b.csv").exists()


# Saves a result in processes of its own, each ended at the n-th file that it moves or removes; with 0 it is left alone.
KILLED = """
import os, pickle, sys
from pathlib import Path
from multispin_gym.evaluation.figures import draw_result
from multispin_gym.evaluation.report import save
result, calls = pickle.loads(Path(sys.argv[1]).read_bytes()), 0
draw_result(result)  # loads, once for all, what drawing needs
def counted(act, last):
    def count(*args, **options):
        global calls
        calls += 1
        if calls == last:
            os._exit(9)
        return act(*args, **options)
    return count
for line in sys.stdin:
    number, folder = line.rstrip("\\n").split(" ", 1)
    child = os.fork()
    if not child:
        os.replace, os.unlink = counted(os.replace, int(number)), counted(os.unlink, int(number))
        save(result, folder, "later")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_a_kill_between_the_files_never_leaves_figures_of_one_evaluation_beside_those_of_another(result, tmp_path):
    folder, other = tmp_path / "results", dataclasses.replace(result, seed=71)
    (tmp_path / "other").write_bytes(pickle.dumps(other))
    codes: list[int] = []
    words = [sys.executable, "-c", KILLED, tmp_path / "other"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as killed:

        def code(number, place):
            killed.stdin.write(f"{number} {place}\n")
            return int(killed.stdout.readline())

        # In a process of its own as well: the JSON names the libraries that were loaded.
        assert code(0, tmp_path / "alone") == 0
        later = {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()}
        while not codes or codes[-1]:
            save(result, folder, "earlier")
            before = {path.name: path.read_bytes() for path in folder.iterdir()}
            assert set(before) == set(later)
            codes.append(code(len(codes) + 1, folder))
            left = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
            if "results.json" in left:
                assert left in (before, later)
            check_output(folder)
    # The three files, and the removal of the earlier JSON, at least.
    assert codes[-1] == 0
    assert codes[:-1] == [9] * (len(codes) - 1)
    assert len(codes) > 4


def test_what_a_killed_write_left_is_removed_by_the_next_and_what_another_is_writing_is_not(tmp_path):
    code = """
import os, sys
from pathlib import Path
from multispin_gym._files import write_atomically
def stop(*args):
    print("writing", flush=True)
    sys.stdin.readline()
    os._exit(9)
os.replace = stop
write_atomically(Path(sys.argv[1]), {"a.json": b"theirs", "b.csv": b"theirs"})
"""
    words = [sys.executable, "-c", code, tmp_path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "writing\n"
        (tmp_path / ".a.json.mine").write_text("not one of ours")
        write_atomically(tmp_path, {"a.json": b"ours"})
        assert len(list(tmp_path.glob(".*.tmp"))) == 2
        writer.communicate("\n")
    assert writer.returncode == 9
    write_atomically(tmp_path, {"a.json": b"again"})
    assert [path.name for path in tmp_path.glob(".*.tmp")] == [path.name for path in tmp_path.glob(".b.csv.*")]
    write_atomically(tmp_path, {"b.csv": b"again"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.json.mine", "a.json", "b.csv"]


def test_a_full_disk_leaves_nothing_behind(result, tmp_path, monkeypatch):
    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save(result, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_written_files_have_the_rights_that_the_umask_leaves(result, tmp_path):
    save(result, tmp_path)
    (tmp_path / "plain").write_text("")
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {(tmp_path / "plain").stat().st_mode}


def test_a_directory_without_permission_is_refused_before_anything_is_played(tmp_path, monkeypatch):
    # The user who runs the tests may be allowed everything, so permissions alone would not refuse.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="cannot be written: no permission"):
        check_output(tmp_path / "new")


def test_foreign_files_are_not_overwritten(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results.json").write_text('{"my": "thesis"}')
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "results.csv").write_text("1,2,3")
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "results.png").write_text("a picture")
    (tmp_path / "c").write_text("")
    for name, message in (
        ("a", "holds a results.json that no evaluation wrote"),
        ("e", "holds a results.png that no evaluation wrote"),
        ("b", "holds a results.csv that no evaluation wrote"),
        ("c", "output must be a directory, got the file"),
    ):
        with pytest.raises(FileExistsError, match=message):
            check_output(tmp_path / name)
    with pytest.raises(FileExistsError, match="output must be a directory, got the file"):
        check_output(tmp_path / "c" / "deeper")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "notes.txt").write_text("")
    check_output(tmp_path / "d")
    check_output(tmp_path / "none" / "yet")


def test_the_plain_table_is_what_print_shows_and_no_array_is_dumped(result):
    text = result.table()
    assert str(result) == text
    lines = text.splitlines()
    assert lines[0] == "laptops_60ms: 3 users, 6 episodes of 5 rounds, expected tokens, seed 70"
    assert [line.split()[0] for line in lines[4:7]] == ["server_only", "uniform_best", "heterogeneous"]
    estimate = result.estimates["uniform_best"]["ratio_to_optimum"]
    low, high = estimate.ci95
    assert f"{estimate.mean:.4f} ({low:.4f}, {high:.4f})" in lines[5]
    assert lines[5].endswith("+0.0%")
    assert f"{result.estimates['heterogeneous']['gain_over_baseline'].mean:+.1%}" in lines[6]
    assert "gain over" not in dataclasses.replace(result, baseline=None).table().partition("gain over")[2]
    assert repr(result) == (f"<EvaluationResult of server_only, uniform_best, heterogeneous in {lines[0]}>")
    goodput = result.policies["uniform_best"].goodput.mean()
    assert repr(result.policies["uniform_best"]).startswith(
        f"<PolicyResult of 6 episodes, means: goodput {goodput:.4g}, "
    )


def test_a_single_episode_has_no_intervals_in_the_table():
    scenario = dataclasses.replace(load_scenario("laptops_60ms"), num_users=2, num_rounds=2)
    assert "(" not in evaluate(["uniform_best"], scenario, episodes=1).table()


def test_a_dataframe_has_a_row_for_each_policy_and_episode(result, monkeypatch):
    frame = result.to_dataframe()
    assert list(frame.columns) == ["policy", "episode", "seed", *MEASURES]
    assert len(frame) == 3 * 6
    mine = frame[frame.policy == "heterogeneous"]
    assert mine.seed.tolist() == [70, 71, 72, 73, 74, 75]
    assert mine.goodput.tolist() == result.policies["heterogeneous"].goodput.tolist()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_dataframe()

"""``multispin sweep``: every point is the evaluation of the changed scenario, whatever happens on the way."""

import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from library import ROOT
from PIL import Image

from multispin_gym import load_scenario
from multispin_gym.baselines.reference import Reference
from multispin_gym.commands import main
from multispin_gym.evaluation import evaluate
from multispin_gym.scenarios import change_scenario

POLICIES = ["uniform_best", "heterogeneous"]
QUICK = ["--policies", *POLICIES, "--num-users", "2", "--episodes", "3", "--rounds", "4"]
LINE = ["--vary", "cell.bandwidth=5e6:15e6:3"]
SCENARIO = ["--scenario", "laptops_60ms"]
NAMES = {"sweep.csv", "sweep.json", "sweep.png"}
# Kills the process when it is about to put its n-th file in place; with 0 it is left alone.
KILLED = """
import os, signal, sys
replace, left = os.replace, [int(sys.argv[1])]
def counted(*args):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*args)
os.replace = counted
from multispin_gym.commands import main
sys.exit(main(sys.argv[2:]))
"""


def sweep(output, *words, status=0):
    assert main(["sweep", *map(str, words), "--output", str(output), *SCENARIO]) == status
    return json.loads((output / "sweep.json").read_text()) if (output / "sweep.json").exists() else None


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_command(folder):
    """The files of a sweep, but for how it was asked for."""
    return {**files(folder), "sweep.json": {**json.loads((folder / "sweep.json").read_text()), "command": ""}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--sampled", "--baseline", "heterogeneous"], {"sampled": True, "baseline": "heterogeneous"}),
        (["--max-time", "0.5", "--reference", "relaxation"], {"max_time": 0.5, "reference": "relaxation"}),
    ],
    ids=str,
)
def test_a_point_is_the_evaluation_of_the_changed_scenario_to_the_last_bit(words, options, tmp_path):
    words = [*QUICK[:3], "--episodes", "3", "--rounds", "4", "--seed", "7", "--set", "cell.max_draft_length=5", *words]
    data = sweep(tmp_path, "--vary", "cell.bandwidth=5e6,1e7", "--vary", "num_users=2,13", *words)
    values = [point["values"] for point in data["points"]]
    assert values == [{"cell.bandwidth": band, "num_users": users} for band in (5e6, 1e7) for users in (2, 13)]
    for point in data["points"]:
        changes = {"cell.max_draft_length": 5, "cell.bandwidth": point["values"]["cell.bandwidth"]}
        scenario = change_scenario(load_scenario("laptops_60ms"), changes)
        alone = evaluate(
            POLICIES,
            scenario,
            point["values"]["num_users"],
            episodes=3,
            seed=7,
            rounds=4,
            **{"baseline": POLICIES[0], **options},
        )
        assert {name: value for name, value in point.items() if name != "values"} == alone.to_dict()


@pytest.mark.slow
def test_the_csv_has_the_numbers_of_the_json_a_line_for_each_point_and_policy(tmp_path):
    data = sweep(tmp_path, *LINE, *QUICK)
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    expected = [(point, name) for point in data["points"] for name in POLICIES]
    assert len(rows) == len(expected)
    for row, (point, name) in zip(rows, expected, strict=True):
        assert (float(row["cell.bandwidth"]), int(row["num_users"])) == (point["values"]["cell.bandwidth"], 2)
        assert (row["policy"], row["reference"]) == (name, "certificate")
        assert float(row["reference_goodput"]) == point["reference_goodput"]["mean"]
        for measure, found in point["policies"][name].items():
            assert [float(row[measure + end]) for end in ("", "_low", "_high")] == [found["mean"], *found["ci95"]]
    assert data["varied"] == [{"key": "cell.bandwidth", "values": [5e6, 1e7, 1.5e7], "spacing": "linear"}]
    assert (data["scenario"], data["policies"], data["baseline"]) == ("laptops_60ms", POLICIES, "uniform_best")
    assert data["versions"]["numpy"] == np.__version__
    assert data["command"].startswith("multispin sweep --vary cell.bandwidth=5e6:15e6:3 --policies uniform_best")
    assert set(files(tmp_path)) == NAMES


def test_what_has_no_interval_is_left_empty_in_the_csv(tmp_path):
    data = sweep(tmp_path, "--vary", "cell.power=total", *QUICK, "--episodes", "1")
    (row, _) = csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines())
    assert (row["cell.power"], row["goodput_low"], row["goodput_high"]) == ("total", "", "")
    assert float(row["goodput"]) == data["points"][0]["policies"]["uniform_best"]["goodput"]["mean"]


def test_the_table_has_every_point_and_says_where_who_is_best(tmp_path, capsys):
    data = sweep(tmp_path, *LINE, *QUICK)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "laptops_60ms: 2 users, 3 points, 3 episodes of 4 rounds at each, expected tokens, seed 1000\n"
    )
    for word, point in zip(("5e6", "1e7", "1.5e7"), data["points"], strict=True):
        plain, best = (point["policies"][name] for name in POLICIES)
        cells = [word, f"{plain['goodput']['mean']:.2f}", f"{best['goodput']['mean']:.2f}"]
        cells.append(f"{best['gain_over_baseline']['mean']:+.1%}")
        assert [line.split() for line in printed.splitlines() if line.split()[:1] == [word]] == [cells]
    gains = [point["policies"]["heterogeneous"]["gain_over_baseline"]["mean"] for point in data["points"]]
    words = " ".join(printed.split())
    assert "heterogeneous has the most goodput at all 3 points. Its gain over uniform_best is between" in words
    assert f"between {min(gains):+.1%} (at cell.bandwidth=" in words
    assert f"and {max(gains):+.1%} (at cell.bandwidth=" in words


def test_rounds_may_be_varied(tmp_path, capsys):
    words = [word for word in QUICK if word not in ("--rounds", "4")]
    data = sweep(tmp_path, "--vary", "num_rounds=1:3:2", *words)
    for point, rounds in zip(data["points"], (1, 3), strict=True):
        alone = evaluate(POLICIES, "laptops_60ms", 2, episodes=3, rounds=rounds, baseline=POLICIES[0]).to_dict()
        assert (point["rounds"], point["policies"]) == (rounds, alone["policies"])
    assert capsys.readouterr().out.startswith("laptops_60ms: 2 users, 2 points, 3 episodes at each, expected tokens")


def test_the_winner_of_each_point_is_counted(tmp_path, capsys):
    # A server that takes no time is not worth a draft; a slow one is.
    words = ["--vary", "cell.verification.fixed=1e-6,0.01,0.1", "--policies", "server_only", "uniform_best"]
    data = sweep(tmp_path, *words, "--num-users", "2", "--episodes", "2", "--rounds", "2")
    means = [[p["policies"][name]["goodput"]["mean"] for name in data["policies"]] for p in data["points"]]
    assert [plain > drafts for plain, drafts in means] == [True, True, False]
    assert "server_only has the most goodput at 2 of 3 points, uniform_best at 1.\n" in capsys.readouterr().out


def test_a_long_table_shows_both_ends_and_how_much_is_between(tmp_path, capsys):
    words = ["--policies", "server_only", "--num-users", "1", "--episodes", "1", "--rounds", "1"]
    sweep(tmp_path, "--vary", "cell.bandwidth=1e6:70e6:70", *words, "--reference", "homogeneous")
    lines = capsys.readouterr().out.splitlines()
    first = [line.split()[0] for line in lines if line.strip().split("e")[0].replace(".", "").isdigit()]
    assert [float(word) for word in first] == [1e6 * number for number in (*range(1, 31), *range(41, 71))]
    assert next(line.strip() for line in lines if "more" in line) == "… 10 more"


def test_numbers_of_users_given_as_for_an_evaluation_are_varied_last(tmp_path, capsys):
    words = ["--policies", "uniform_best", "--episodes", "2", "--rounds", "2"]
    data = sweep(tmp_path / "a", "--num-users", 13, 2, "--vary", "cell.power=total,density", *words)
    assert [axis["key"] for axis in data["varied"]] == ["cell.power", "num_users"]
    assert [point["num_users"] for point in data["points"]] == [13, 2, 13, 2]
    printed = " ".join(capsys.readouterr().out.split())
    assert "Ratios are taken to relaxation or certificate, by the number of users: --reference relaxation" in printed
    sweep(tmp_path / "b", "--vary", "cell.power=total,density", "num_users=13,2", *words)
    assert without_command(tmp_path / "a") == without_command(tmp_path / "b")


@pytest.mark.slow
def test_a_sweep_over_the_cores_writes_the_same_bytes(tmp_path):
    sweep(tmp_path / "one", *LINE, *QUICK)
    sweep(tmp_path / "two", *LINE, *QUICK, "--runner", "processes", "--jobs", "2")
    assert without_command(tmp_path / "one") == without_command(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize("place", range(1, 7))
def test_a_sweep_that_was_killed_goes_on_to_the_same_bytes(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["sweep", *LINE, *QUICK, "--output", "out"]
    command = [sys.executable, "-c", KILLED, str(place), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = sorted((tmp_path / "out" / "tasks").glob("point-*.json"))
    assert len(kept) == min(place - 1, 3)
    stamps = {path.name: path.stat().st_mtime_ns for path in kept}
    assert not (tmp_path / "out" / "sweep.json").exists()
    played = []
    honest = Reference.goodput
    monkeypatch.setattr(Reference, "goodput", lambda *args: played.append(1) or honest(*args))
    assert main([*words, "--resume"]) == 0
    assert len(played) == 3 - len(stamps)
    resumed = files(tmp_path / "out")
    assert set(resumed) == NAMES
    assert main(words) == 0
    assert files(tmp_path / "out") == resumed


@pytest.mark.slow
def test_a_new_process_that_finds_all_points_played_writes_the_same_bytes(tmp_path):
    words = ["sweep", *LINE, *QUICK, "--output", "out"]
    found = []
    for folder, runs in (("whole", [(0, [])]), ("killed", [(4, []), (0, ["--resume"])])):
        (tmp_path / folder).mkdir()
        for place, more in runs:
            command = [sys.executable, "-c", KILLED, str(place), *words, *more]
            done = subprocess.run(command, cwd=tmp_path / folder, capture_output=True, text=True, check=False)
            assert done.returncode == (-signal.SIGKILL if place else 0), done.stderr
        found.append(files(tmp_path / folder / "out"))
    assert found[0] == found[1]


def test_an_interrupted_sweep_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("multispin_gym.evaluation.sweeps.playing.point_piece", interrupt)
    sweep(tmp_path, *LINE, *QUICK, status=130)
    assert capsys.readouterr().err.rstrip().endswith("interrupted: 0 of 3 tasks are finished; --resume goes on")
    monkeypatch.undo()
    sweep(tmp_path, *LINE, *QUICK, "--resume")
    assert set(files(tmp_path)) == NAMES


def test_an_interrupt_before_the_first_point_leaves_nothing(tmp_path, capsys):
    (tmp_path / "rule.py").write_text("raise KeyboardInterrupt\n")
    assert sweep(tmp_path / "out", *LINE, "--policies", f"{tmp_path}/rule.py:rule", status=130) is None
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
    assert not (tmp_path / "out").exists()


def test_pieces_of_another_sweep_are_not_taken_over_and_its_last_ones_go_with_it(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    words = ["--policies", "uniform_best", "--num-users", "2", "--rounds", "2"]
    honest = Reference.goodput
    with monkeypatch.context() as patched:
        # Two points are played, and the third is not.
        left = [None, None]
        patched.setattr(Reference, "goodput", lambda *args: (left.pop() if left else interrupt()) or honest(*args))
        sweep(tmp_path / "a", *LINE, *words, "--episodes", "2", status=130)
    assert len(list((tmp_path / "a" / "tasks").iterdir())) == 2
    sweep(tmp_path / "a", *LINE, *words, "--episodes", "3", "--resume")
    sweep(tmp_path / "b", *LINE, *words, "--episodes", "3")
    assert without_command(tmp_path / "a") == without_command(tmp_path / "b")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "vary must name at least one key and its values"),
        (
            ["--vary", "num_users=2,3", "--env-id", "multispin_gym/MultiSpinServe-v0"],
            "env_id must be one of those in which no time passes, got 'multispin_gym/MultiSpinServe-v0'",
        ),
        (["--vary", "cell.bandwith=1e6,2e6"], "cell.bandwith is not a key of [cell]"),
        (["--vary", "cell.bandwith=1e6,2e6"], "Did you mean 'bandwidth'?"),
        (
            ["--vary", "cell.bandwidth=5e6,-1"],
            "at cell.bandwidth=-1: cell.bandwidth must lie in [1e-50, 1e+50], got -",
        ),
        (
            ["--vary", "num_users=2,3", "--vary", "cell.min_draft_length=1,13"],
            "at num_users=2, cell.min_draft_length=13: cell.min_draft_length must be a whole number in [0, 12], got 13",
        ),
        (["--vary", "num_users=2,0"], "at num_users=0: num_users must be a whole number in [1, 100000], got 0"),
        (["--vary", "num_users=2,2.5"], "at num_users=2.5: num_users must be a whole number in [1, 100000], got 2.5"),
        (["--vary", "cell.max_draft_length=2:12:4"], "cell.max_draft_length must take whole numbers, and 2:12:4 gives"),
        (["--vary", "cell.power=total,densty"], "must be one of total, density; got 'densty'. Did you mean 'density'?"),
        (["--vary", "cell.power.x=1"], "cell.power.x does not exist: cell.power is 'total', not a table"),
        (["--vary", "devices[3].x=1"], "at devices[3].x=1: devices[3] does not exist: the scenario has 3 entries"),
        (["--vary", "num_users=1:100:100", "cell.bandwidth=1:101:101"], "at most 10000 points, got 100 x 101 = 10100"),
        (["--vary", "num_users=2,3", "--num-users", "4"], "num_users is varied, and --num-users 4 is given besides"),
        (["--vary", "num_users=2,3", "--num-users", "4", "5"], "num_users is varied twice"),
        (["--vary", "num_rounds=2,3", "--rounds", "4"], "num_rounds is varied, and --rounds 4 is given besides"),
        (["--vary", "num_rounds=2,3", "--max-time", "4"], "num_rounds is varied, and --max-time 4.0 is given besides"),
        (["--vary", "num_users=2,3", "--set", "num_users=4"], "num_users is set, and num_users is varied: choose one"),
        (
            ["--vary", "cell.verification={fixed=0.1}", "--set", "cell.verification.fixed=0.2"],
            "cell.verification.fixed is set, and cell.verification is varied: choose one of them",
        ),
        (["--num-users", "2", "3", "--policies", "heterogenous"], "Did you mean 'heterogeneous'?"),
        (["--num-users", "2", "3", "--policies"], "policies must name at least one policy"),
        (["--num-users", "2", "3", "--baseline", "tk_slt"], "baseline must be one of server_only, uniform_best"),
        (["--num-users", "2", "3", "--episodes", "0"], "episodes must be a whole number in [1, 1e+07], got 0"),
        (["--num-users", "2", "3", "--seed", "x"], "--seed must be a whole number, got 'x'"),
        (["--num-users", "2", "3", "--jobs", "-1"], "jobs must be a whole number in [0, 65536], got -1"),
        (["--num-users", "2", "3", "--scenario", "defualt"], "Did you mean 'default'?"),
        (["--num-users", "2", "3", "--runner", "cloud"], "--runner must be one of local, processes, ray; got 'cloud'"),
        (["--num-users", "2", "3", "--policies", "sb3:none.zip"], "there is no file 'none.zip'"),
        (
            ["--vray", "num_users=2,3"],
            "Did you mean --vary? (see multispin sweep --help)",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line_before_anything_is_played(words, message, tmp_path, capsys, monkeypatch):
    played = []
    monkeypatch.setattr("multispin_gym.evaluation.sweeps.playing.point_piece", lambda *args: played.append(args))
    assert main(["sweep", "--output", str(tmp_path / "out"), *SCENARIO, *words]) == 2
    printed = capsys.readouterr()
    assert (printed.out, played, list(tmp_path.iterdir())) == ("", [], [])
    assert printed.err.startswith("multispin sweep: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 800


@pytest.mark.parametrize("name", ["sweep.json", "sweep.csv", "sweep.png"])
@pytest.mark.parametrize("text", ["[]", "{", "policy,episode\n"])
def test_files_that_no_sweep_wrote_are_kept(name, text, tmp_path, capsys):
    (tmp_path / name).write_text(text)
    assert main(["sweep", *LINE, "--output", str(tmp_path)]) == 2
    assert f"holds a {name} that no sweep wrote: choose another directory" in capsys.readouterr().err
    assert files(tmp_path) == {name: text.encode()}


def test_an_earlier_sweep_is_replaced_even_where_it_has_no_json(tmp_path):
    sweep(tmp_path, *LINE, *QUICK)
    before = files(tmp_path)
    (tmp_path / "sweep.json").unlink()
    sweep(tmp_path, *LINE, *QUICK)
    assert files(tmp_path) == before
    sweep(tmp_path, *LINE, *QUICK, "--seed", "1")
    assert files(tmp_path)["sweep.csv"] != before["sweep.csv"]


def test_an_alarm_is_written_and_fails_the_command_with_the_point(tmp_path, capsys, monkeypatch):
    honest = Reference.goodput
    monkeypatch.setattr(
        Reference,
        "goodput",
        lambda self, users, cell: honest(self, users, cell) * (0.5 if cell.bandwidth == 1e7 else 1),
    )
    data = sweep(tmp_path, *LINE, *QUICK, status=1)
    error = capsys.readouterr().err
    assert error.startswith("multispin sweep: error: at cell.bandwidth=1e7 a policy is above the reference")
    assert error.count("\n") == 1
    assert [sorted(point["alarms"]) for point in data["points"]] == [[], sorted(POLICIES), []]
    assert not (tmp_path / "tasks").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["--vary", "cell.bandwidth=1e6:1e8:3:log"], (1080, 690)),
        (["--vary", "cell.bandwidth=1e6,2e6,9e6"], (1080, 690)),
        (["--vary", "cell.bandwidth=1e6:1e7:10"], (1080, 690)),
        (["--vary", "cell.max_draft_length=1:12:12"], (1080, 690)),
        (["--vary", "cell.power=total,density"], (1080, 690)),
        (["--vary", "cell.bandwidth=1e6,2e6", "--vary", "cell.power=total,density"], (1110, 600)),
        (["--vary", "cell.power=total,density", "--vary", "cell.bandwidth=1e6,2e6"], (1110, 600)),
        (["--vary", "cell.bandwidth=1e6,2e6", "--vary", "cell.max_draft_length=1,2,3,4,5"], (1575, 1005)),
        (["--vary", "cell.bandwidth=1e6", "--policies", "server_only", "x" * 40 + ".py:rule"], (1080, 690)),
    ],
)
def test_one_key_or_two_are_drawn(words, size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rule = "from multispin_gym.baselines import make_controller\nrule = make_controller('uniform_fixed')\n"
    (tmp_path / ("x" * 40 + ".py")).write_text(rule)
    quick = ["--policies", "uniform_best", "--num-users", "2", "--episodes", "2", "--rounds", "2"]
    sweep(tmp_path / "out", *quick, *words)
    with Image.open(tmp_path / "out" / "sweep.png") as image:
        assert image.size == size
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["num_users=1,2", "cell.power=total,density", "cell.bandwidth=1e6,2e6"],
            "key or two, and 3 are varied",
        ),
        (
            ["num_users=1", "cell.bandwidth=1e6:17e6:17"],
            "value of the second key, 16 at most; give the key with",
        ),
    ],
)
def test_what_no_picture_shows_is_written_without_one_and_said_in_a_line(words, message, tmp_path, capsys):
    quick = ["--policies", "server_only", "--episodes", "1", "--rounds", "1", "--reference", "homogeneous"]
    sweep(tmp_path, "--vary", "num_users=1,2", *quick)
    assert set(files(tmp_path)) == NAMES
    sweep(tmp_path, *(word for text in words for word in ("--vary", text)), *quick)
    printed = capsys.readouterr().out
    assert " ".join(printed.split()).count("sweep.png is skipped: it ") == 1
    assert message in " ".join(printed.split())
    assert set(files(tmp_path)) == NAMES - {"sweep.png"}


def test_without_matplotlib_one_line_says_that_the_picture_is_skipped(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "multispin_gym.evaluation.sweeps.figures", None)
    sweep(tmp_path, "--vary", "num_users=1,2", *QUICK[:3], "--episodes", "2", "--rounds", "2")
    assert capsys.readouterr().out.count("matplotlib is not installed: sweep.png is skipped\n") == 1
    assert set(files(tmp_path)) == NAMES - {"sweep.png"}


def test_neither_torch_nor_matplotlib_is_loaded_to_check_a_sweep():
    script = (
        "import sys; from multispin_gym.commands import main; "
        "print(main(['sweep', '--vary', 'num_users=0,1']), {'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "2 set()\n"

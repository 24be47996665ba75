"""Files, tables and the command of an evaluation in which time passes."""

import csv
import dataclasses
import io
import json

import matplotlib.image
import numpy as np
import pandas
import pytest
from evaluations import run_evaluate
from rich.console import Console
from services import DEADLINE, SERVE, STALE, busy

from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.cli import main
from multispin_gym.evaluation.figures import draw_result
from multispin_gym.evaluation.report import save, to_csv, to_json, to_table
from multispin_gym.evaluation.service.measures import ServiceMeasures

OF_ALL = {"return", "goodput", "long_run_goodput", "lost", "worst_user_rate", "jain_index"}
COMPARED = {"gain_over_server_only", "regret_to_nested_polished"}
OF_REQUESTS = {"on_time", "dropped", "refused"} | {
    f"{time}_p{level}" for time in ("time_to_first_token", "time_per_token") for level in (50, 95, 99)
}
NAMES = ["server_only", "heterogeneous", "mean_proportional_fair"]
QUICK = ["--num-users", "3", "--episodes", "2", "--env-id", SERVE]


@pytest.fixture(scope="module")
def result():
    return evaluate(NAMES, busy(episode_seconds=4.0), episodes=5, seed=20, env_id=SERVE, baseline="server_only")


@pytest.fixture(scope="module")
def staying():
    """An evaluation where users stay, so that there are no requests."""
    return evaluate(["server_only", "mean_heterogeneous"], busy("stale", episode_seconds=2.0), episodes=3, env_id=STALE)


def shown(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_json_has_the_promised_keys(result):
    data = json.loads(to_json(result, "the command"))
    assert (data["scenario"], data["env_id"], data["reference"]) == ("serve", SERVE, "none")
    assert (data["num_users"], data["episodes"], data["seed"], data["sampled"]) == (3, 5, 20, True)
    assert (data["loop"], data["rounds"], data["max_time"], data["length"]) == ("closed", None, 4.0, "4 s")
    assert (data["reward"], data["baseline"], data["clairvoyant"]) == (
        "tokens_on_time",
        "server_only",
        ["heterogeneous"],
    )
    assert (data["command"], data["alarms"]) == ("the command", {})
    assert data["versions"]["numpy"] == np.__version__
    assert list(data["policies"]) == NAMES
    for measures in data["policies"].values():
        assert measures.keys() == OF_ALL | OF_REQUESTS | COMPARED | {"gain_over_baseline"}
        for estimate in measures.values():
            assert estimate.keys() == {"mean", "ci95"}
    assert data["server_only"].keys() >= OF_ALL | OF_REQUESTS
    assert data["policies"]["server_only"]["lost"] == {"mean": None, "ci95": None}


def test_without_requests_there_is_no_word_of_them(staying):
    data = staying.to_dict()
    assert data["policies"]["mean_heterogeneous"].keys() == OF_ALL | COMPARED
    for text in (str(staying), shown(to_table(staying, 200), 200)):
        assert "requests" not in text
        assert "Jain" in text


def test_csv_has_a_line_for_each_policy_and_episode_with_exact_numbers(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [(row["policy"], row["episode"], row["seed"]) for row in rows] == [
        (name, str(episode), str(20 + episode)) for name in NAMES for episode in range(5)
    ]
    for row in rows:
        for measure, values in result.policies[row["policy"]].per_episode().items():
            assert float(row[measure]) == values[int(row["episode"])]


def test_the_data_frame_has_the_same_lines(result):
    frame = result.to_dataframe()
    read = pandas.read_csv(io.StringIO(to_csv(result)))
    assert list(frame.columns) == list(read.columns)
    assert frame["return"].tolist() == read["return"].tolist()


def test_files_are_written_and_replaced(result, tmp_path):
    for _ in range(2):
        assert save(result, tmp_path / "r", "again")
        assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [
            "results.csv",
            "results.json",
            "results.png",
        ]
    assert (tmp_path / "r" / "results.json").read_text() == to_json(result, "again")


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200])
def test_tables_fit_and_leave_names_and_numbers_whole(result, width):
    text = shown(to_table(result, width), width)
    assert max(map(len, text.splitlines())) <= width
    for name in NAMES:
        assert name in text
    assert "(clairvoyant)" in text
    assert f"{result.estimates['heterogeneous']['return'].mean:.4g}" in text
    low, high = result.estimates["heterogeneous"]["return"].ci95
    assert f"({low:.4g}, {high:.4g})" in text
    # The wider, the more.
    assert ("goodput" in text) == (width >= 80)
    assert ("on time" in text.replace("tokens on time", "")) == (width >= 100)
    assert ("Jain's" in text) == (width >= 200)


def test_the_text_shows_every_column(result):
    lines = str(result).splitlines()
    assert lines[0] == "serve: 3 users, 5 episodes of 4 s, sampled tokens, seed 20"
    assert lines[2].split()[:3] == ["policy", "return", "gain"]
    assert "server_only" in lines[3]
    (line,) = (line for line in lines if line.startswith("heterogeneous (clairvoyant)"))
    found = result.estimates["heterogeneous"]
    assert f"{found['return'].mean:.4g}" in line
    assert f"{found['jain_index'].mean:.3f}" in line
    assert f"{found['on_time'].mean:.1%}" in line
    assert repr(result).startswith("<ServiceResult of server_only, heterogeneous, mean_proportional_fair in serve: 3 ")


def changed(result, name, **values):
    """The result with other numbers for a policy."""
    measures = result.policies[name]
    arrays = {key: np.full(result.episodes, value) for key, value in values.items()}
    policies = {**result.policies, name: dataclasses.replace(measures, **arrays)}
    return dataclasses.replace(result, policies=policies)


def test_large_numbers_are_written_in_full(result):
    large = changed(result, "heterogeneous", returns=123456.0)
    assert "123456 (123456, 123456)" in str(large)
    assert "123456" in shown(to_table(large, 120), 120)
    assert "has the largest return here, 123456 (tokens on time)" in large.speculation()
    assert "e+" not in str(large)


def test_columns_of_what_happened_to_nobody_are_left_out(result):
    zeros = result
    for name in NAMES:
        zeros = changed(zeros, name, lost=0.0, refused=0.0)
    assert not {"lost", "refused"} & zeros.columns.keys()
    assert {"lost", "refused"} <= changed(zeros, NAMES[1], lost=1.0, drafted=2.0, refused=1.0).columns.keys()


def test_a_policy_of_which_no_request_ended_has_dashes(result):
    nothing = changed(result, "server_only", finished=0.0, on_time=0.0, expired=0.0, given_up=0.0, refused=0.0)
    (line,) = (line for line in str(nothing).splitlines() if line.startswith("server_only"))
    assert line.split().count("-") >= 6
    assert "server_only" in shown(to_table(nothing, 200), 200)


def test_the_verdict_names_the_best_and_the_best_that_sees_no_more_than_it_should(result):
    text = changed(result, "heterogeneous", returns=9e3).speculation()
    assert text.startswith(
        "heterogeneous (clairvoyant) has the largest return here, 9000 (tokens on time); of those that "
    )
    assert "of those that see only what the task shows " in text
    fair = changed(result, "mean_proportional_fair", returns=1e4)
    assert fair.speculation().startswith(
        "mean_proportional_fair has the largest return here, 10000 (tokens on time); plain"
    )
    assert fair.summary() == f"K = 3: {fair.speculation()}"
    both = changed(fair, "server_only", returns=1e4).speculation()
    assert "server_only and mean_proportional_fair have the largest return here, 10000 " in both
    only = dataclasses.replace(result, policies={"heterogeneous": result.policies["heterogeneous"]}, baseline=None)
    assert "of those that see" not in only.speculation()
    plain = dataclasses.replace(result, policies={"server_only": result.server_only}, baseline=None)
    assert plain.speculation().startswith("No policy has a larger return here than plain decoding, ")


def test_without_the_rule_there_is_no_regret(result):
    assert "regret_to_nested_polished" not in dataclasses.replace(result, nested_polished=None).estimates["server_only"]


@pytest.mark.parametrize("fixture", ["result", "staying"])
def test_the_picture_grows_with_the_policies(fixture, request):
    result = request.getfixturevalue(fixture)
    picture = matplotlib.image.imread(io.BytesIO(draw_result(result)))
    fewer = dataclasses.replace(result, policies=dict(list(result.policies.items())[:1]), baseline=None)
    small = matplotlib.image.imread(io.BytesIO(draw_result(fewer)))
    assert picture.shape[0] > small.shape[0]
    assert (picture[..., :3] < 0.9).any()


@pytest.mark.slow
def test_the_command_writes_the_files_and_prints_table_and_verdict(tmp_path):
    args = ["--policies", "fixed_bw_l", "mean_heterogeneous", *QUICK, "--max-time", "3", "--output", tmp_path / "r"]
    args += ["--set", "clock.requests.load=1.2", "--seed", "5"]
    done = run_evaluate(*args)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads((tmp_path / "r" / "results.json").read_text())
    assert (data["num_users"], data["episodes"], data["max_time"], data["seed"]) == (3, 2, 3.0, 5)
    assert data["command"] == f"python evaluate.py {' '.join(map(str, args))}"
    assert data["speculation"] in " ".join(done.stdout.split())
    assert "mean_heterogeneous" in done.stdout
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert set(before) == {"results.csv", "results.json", "results.png"}
    assert run_evaluate(*args).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


def test_several_numbers_of_users_make_an_evaluation_each(tmp_path, capsys):
    args = [
        "--policies",
        "fixed_bw_l",
        "--episodes",
        "1",
        "--env-id",
        DEADLINE,
        "--rounds",
        "4",
        "--num-users",
        "2",
        "3",
    ]
    assert main([*args, "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("K = ")] == ["K = 2", "K = 3"]
    for count in (2, 3):
        data = json.loads((tmp_path / f"K={count}" / "results.json").read_text())
        assert (data["num_users"], data["rounds"], data["max_time"]) == (count, 4, None)


def test_a_changed_load_changes_what_is_met(tmp_path):
    arrived = []
    for load in ("0.5", "4"):
        args = ["--policies", "server_only", *QUICK, "--max-time", "6", "--set", f"clock.requests.load={load}"]
        assert main([*args, "--output", str(tmp_path / load)]) == 0
        with (tmp_path / load / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        arrived.append(sum(float(row[name]) for row in rows for name in ("tokens", "expired", "refused", "finished")))
    assert arrived[0] < arrived[1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--reference", "relaxation"], f"reference must be left out for {SERVE}: its rounds have none"),
        (["--scenario", "default"], f"scenario must have a clock for {SERVE}, got "),
        (["--loop", "open"], f"loop must be 'closed' for {SERVE}: its draws depend on decisions"),
        (["--policies", "mean_heterogenous"], "Did you mean 'mean_heterogeneous'?"),
        (
            ["--policies", "mean_heterogeneous", "--env-id", "multispin_gym/MultiSpin-v0"],
            "it is none for multispin_gym/",
        ),
        (["--set", "clock.requests.load=-1"], "clock.requests.load must lie in"),
        (["--set", "clock.hiden=true"], "Did you mean 'hidden'?"),
        (["--max-time", "-3"], "max_time must lie in "),
        (["--rounds", "0"], "rounds must be a whole number in [1, "),
    ],
)
def test_bad_input_ends_with_one_line_and_writes_nothing(args, message, tmp_path, capsys):
    assert main([*QUICK, *args, "--output", str(tmp_path / "r")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert len(error) < 800
    assert not (tmp_path / "r").exists()


def test_measures_of_nothing_are_zeros_and_not_an_error():
    zeros = np.zeros(2)
    names = [field.name for field in dataclasses.fields(ServiceMeasures) if field.name != "times"]
    measures = ServiceMeasures(**{**dict.fromkeys(names, zeros), "seconds": zeros + 1.0}, times={})
    found = measures.estimates(0)
    assert found["return"].mean == 0.0
    assert np.isnan(found["lost"].mean)
    assert "on_time" not in found

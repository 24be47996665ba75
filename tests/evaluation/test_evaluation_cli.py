"""``python evaluate.py``: what it prints and writes, and one line for whatever is wrong."""

import json
import sys

import pytest
from evaluations import run_evaluate

import multispin_gym.evaluation.evaluator
from multispin_gym.baselines.reference import Reference
from multispin_gym.evaluation.cli import main

QUICK = ["--num-users", "3", "--episodes", "4", "--rounds", "3"]


@pytest.mark.slow
def test_command_writes_results_and_prints_the_table_and_the_verdict(tmp_path):
    args = ["--policies", "uniform_best", "heterogeneous", *QUICK, "--seed", "5", "--output", tmp_path / "r"]
    done = run_evaluate(*args)
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads((tmp_path / "r" / "results.json").read_text())
    assert (data["scenario"], data["num_users"], data["episodes"], data["rounds"]) == ("paper_qwen35", 3, 4, 3)
    assert (data["seed"], data["sampled"]) == (5, False)
    assert data["command"] == f"python evaluate.py {' '.join(map(str, args))}"
    assert "heterogeneous" in done.stdout
    assert f"{data['policies']['heterogeneous']['ratio_to_optimum']['mean']:.4f}" in done.stdout
    assert data["speculation"] in " ".join(done.stdout.split())
    assert (tmp_path / "r" / "results.png").read_bytes().startswith(b"\x89PNG")
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert run_evaluate(*args).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


@pytest.mark.slow
def test_without_matplotlib_one_line_says_that_the_plot_is_skipped(tmp_path):
    args = ["--policies", "homogeneous", *QUICK, "--output", tmp_path]
    assert run_evaluate(*args).returncode == 0
    done = run_evaluate(*args, without=("matplotlib",))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("matplotlib is not installed: results.png is skipped\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.json"]


@pytest.mark.parametrize("module", ["tyro", "rich.console"])
def test_without_the_command_lines_libraries_one_line_says_what_to_install(tmp_path, module, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["--output", str(tmp_path / "r")]) == 1
    package = module.partition(".")[0]
    assert capsys.readouterr().err == f"error: {package} is not installed: pip install 'multispin-gym[report]'\n"


@pytest.mark.slow
def test_help_explains_every_option():
    done = run_evaluate("--help")
    assert done.returncode == 0
    for option in ("policies", "scenario", "num-users", "episodes", "rounds", "seed", "sampled", "env-id", "output"):
        assert f"--{option}" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--epsiodes", "3"], "Unrecognized options: --epsiodes"),
        (["--num-users", "many"], "--num-users"),
        (["--reference", "nobody"], "'nobody'"),
        (["--seed"], "--seed"),
    ],
)
def test_what_cannot_be_parsed_is_refused_in_one_line(args, message, capsys):
    assert main(args) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--policies", "heterogenous"], "got 'heterogenous'. Did you mean 'heterogeneous'?"),
        (["--policies"], "policies must name at least one policy"),
        (["--policies", "runs/none"], "runs/none"),
        (["--scenario", "defualt"], "got 'defualt'. Did you mean 'default'?"),
        (["--scenario", "none.toml"], "scenario file 'none.toml' does not exist"),
        (["--num-users", "0"], "num_users must be a whole number in [1, 100000], got 0"),
        (["--episodes", "-1"], "episodes must be a whole number in [1, 1e+07], got -1"),
        (["--baseline", "tk_slt"], "baseline must be one of"),
        (["--num-users", "1000000000"], "num_users must be a whole number in [1, 100000], got 1000000000"),
        (["--num-users", "1e9"], ", got '1e9'"),
        (["--episodes", "1e12"], "--episodes must be a whole number, got '1e12'"),
        (["--episodes", "1000000000000"], "episodes must be a whole number in [1, 1e+07], got 1000000000000"),
        (["--max-time", "x"], "--max-time must be of the kind that its help shows, got 'x'"),
        (["--loop", "nosuch"], "--loop must be one of None, closed, open; got 'nosuch'"),
        (["--jobs", "-1"], "jobs must be a whole number in [0, 65536], got -1"),
        (
            ["--set", "cell.max_draft_length=1e18"],
            "cell.max_draft_length must be a whole number in [1, 10000], got 1e+18",
        ),
        (["--policies", ""], "policies must be among server_only,"),
        (["--policies", "os:system", "--episodes", "1", "--rounds", "1"], "policy 'os:system': system() takes at most"),
        (["--scenario", "\x1b[31m.toml"], "scenario file '\\x1b[31m.toml' does not exist"),
        (["--scenario", "x" * 5000 + ".toml"], "File name too long"),
    ],
)
def test_bad_input_ends_with_one_line_and_writes_nothing(args, message, tmp_path, capsys):
    assert main([*args, "--output", str(tmp_path / "r")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert len(error) < 800
    assert error[:-1].isprintable()
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"scenario": 1}', "[]", ""])
def test_results_that_no_evaluation_wrote_are_kept(tmp_path, capsys, text):
    (tmp_path / "results.json").write_text(text)
    assert main(["--output", str(tmp_path)]) == 1
    assert "holds a results.json that no evaluation wrote" in capsys.readouterr().err
    assert (tmp_path / "results.json").read_text() == text


def test_a_directory_of_someone_elses_results_is_refused_before_anything_is_played(tmp_path, capsys):
    (tmp_path / "results.json").write_text("[]")
    assert main(["--output", str(tmp_path), "--episodes", "1000000"]) == 1
    assert "holds a results.json that no evaluation wrote" in capsys.readouterr().err
    assert (tmp_path / "results.json").read_text() == "[]"


@pytest.mark.slow
def test_an_alarm_is_written_printed_and_fails_the_command(tmp_path, capsys, monkeypatch):
    honest = Reference.goodput
    monkeypatch.setattr(Reference, "goodput", lambda *args: 0.5 * honest(*args))
    assert main(["--policies", "heterogeneous", *QUICK, "--output", str(tmp_path)]) == 1
    out, error = capsys.readouterr()
    assert "ratio to" in out
    assert error.startswith("error: a policy is above the certificate reference")
    assert "12 round(s)" in json.loads((tmp_path / "results.json").read_text())["alarms"]["heterogeneous"]


def test_interrupting_writes_nothing(tmp_path, capsys, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(multispin_gym.evaluation.evaluator, "evaluate", interrupt)
    assert main([*QUICK, "--output", str(tmp_path / "r")]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_several_numbers_of_users_are_an_evaluation_each(tmp_path, capsys):
    words = ["--policies", "uniform_best", "heterogeneous", "--episodes", "2", "--rounds", "2"]
    assert main([*words, "--num-users", "2", "4", "--output", str(tmp_path / "r")]) == 0
    printed = capsys.readouterr().out
    for count in (2, 4):
        assert main([*words, "--num-users", str(count), "--output", str(tmp_path / str(count))]) == 0
        alone, together = tmp_path / str(count), tmp_path / "r" / f"K={count}"
        assert (together / "results.csv").read_bytes() == (alone / "results.csv").read_bytes()
        goodput = json.loads((alone / "results.json").read_text())["policies"]["heterogeneous"]["goodput"]["mean"]
        assert f"K = {count}: heterogeneous has the most goodput, {goodput:.4g} token/s" in printed
    assert main([*words, "--num-users", "2", "4", "2", "--output", str(tmp_path / "no")]) == 1
    assert capsys.readouterr().err == "error: num_users must each be given once, got 2 2 times\n"
    assert not (tmp_path / "no").exists()

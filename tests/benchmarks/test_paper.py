"""The study of the paper: exact scores, scatter of means of ten draws, fits that recover what made the data."""

import json
import runpy

import numpy as np
import pytest
from library import ROOT

RESULTS = ROOT / "docs" / "results" / "paper"


@pytest.fixture
def paper(benchmark, monkeypatch):
    """Import a module of the study as its commands do."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "paper"))
    return benchmark


@pytest.fixture
def rates(paper):
    return paper("_scoring").table_i(paper("_curves").preset("llama2", paper("_printed").COMMON))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_expected_tokens_are_those_of_sampled_prompts(paper, rates, share):
    scoring, rng = paper("_scoring"), np.random.default_rng(0)
    prompts = scoring.prompt_rates(rates, share, np.arange(4), 200_000, rng)
    assert prompts.mean(axis=-1) == pytest.approx(rates[:, 0], abs=4e-3)
    assert prompts.var(axis=-1) == pytest.approx(share * rates[:, 1] ** 2, rel=0.02)
    exact = scoring.expected(rates, share, 25)
    for length in (1, 8, 25):
        # The tokens of a draft, counted: one, and each that is accepted with all before it.
        counted = sum(prompts**accepted for accepted in range(length + 1))
        error = counted.std(axis=-1) / np.sqrt(counted.shape[-1])
        assert (np.abs(counted.mean(axis=-1) - exact[:, length]) < 5.0 * error).all()


def test_without_scatter_every_prompt_has_its_data_sets_rate(paper, rates):
    scoring = paper("_scoring")
    powers = np.arange(26)
    assert scoring.survival(rates, 0.0, 25) == pytest.approx(rates[:, :1] ** powers, rel=1e-12)
    assert scoring.survival(rates, 1e-9, 25) == pytest.approx(rates[:, :1] ** powers, rel=1e-6)


def test_drafts_per_second_have_all_that_a_mean_goodput_depends_on(paper, rates):
    cells, scoring, point = paper("_cells"), paper("_scoring"), paper("_printed").FEW
    scenario = cells.scenario_at("llama2", cells.Guess(20.0, 0.02), point.bandwidth)
    played = cells.play(scenario, cells.draw(scenario, point.num_users, 30, 0), ("fixed", "p2p"))
    for entry in played.values():
        tokens = scoring.expected(rates, 0.6, 25)
        assert (entry.weights(25) * tokens).sum() == pytest.approx(entry.goodput(tokens).mean(), rel=1e-12)


def test_guess_of_the_presets_is_the_preset(paper):
    cells, point = paper("_cells"), paper("_printed").COMMON
    guessed = cells.scenario_at("qwen35", cells.Guess(20.0, 0.036), point.bandwidth)
    preset = paper("_curves").preset("qwen35", point)
    assert guessed.cell == preset.cell
    first, second = (s.sample_users(np.random.default_rng(3), batch=(5,)) for s in (guessed, preset))
    assert first.drafting_speed == pytest.approx(second.drafting_speed, rel=1e-6)
    assert first.received_power == pytest.approx(second.received_power, rel=1e-6)


@pytest.mark.slow
def test_scatter_of_a_mean_of_ten_draws_is_that_of_experiments_made_one_by_one(paper):
    experiments, cells, printed = paper("_experiments"), paper("_cells"), paper("_printed")
    value = next(v for v in printed.PRINTED if v.key == "llama2: Hete over Fixed, K = 10")
    guess, shares = cells.Guess(20.0, 0.02), {6: 0.0, 7: 1.0, 8: 1.0}
    resampled = experiments.repeat("llama2", guess, 0.016, shares, experiments.Design(cells=2000), (value,))[:, 0]
    design = experiments.Design(cells=4000, seed=5)
    found = experiments.realised("llama2", guess, 0.016, value.point, ("hete", "fixed"), 1.0, design)
    hete, fixed = (goodput.reshape(-1, 10).mean(axis=-1) for goodput in found.values())
    one_by_one = np.log(hete / fixed)
    # 400 experiments know their deviation to 3.5 %.
    assert resampled.std() == pytest.approx(one_by_one.std(), rel=0.15)


@pytest.fixture
def surfaces(paper):
    surface, pairs = paper("_surface"), paper("_printed").PAIRS
    powers, times = np.geomspace(14.0, 28.0, 4).tolist(), np.geomspace(0.012, 0.05, 4).tolist()
    tables = {pair: surface.tabulate(pair, False, powers, times, 12, 0) for pair in pairs}
    return {pair: surface.Surface(pair, False, powers, times, tables[pair]) for pair in pairs}


@pytest.mark.slow
def test_fit_recovers_what_made_the_printed_values(paper, surfaces):
    fitting = paper("_fitting")
    size = len(paper("_printed").PRINTED)
    scatter = paper("_experiments").Scatter(np.zeros(size), 1e-4 * np.eye(size), np.zeros((1, size)))
    whitener = fitting.Whitener(scatter, 0.01)
    true = {"snr_db": 21.0, "time_llama2": 0.018, "time_qwen35": 0.033, "server_time": 0.014, "share_6": 0.2}
    true["share_78"] = 0.7
    reading = fitting.Reading("a share of its own in each", None, None)
    fit = fitting.Fit(reading, surfaces, np.zeros(size))
    fit.printed = fit.predict(true)
    found, cost = fit.solve(whitener)
    assert cost < 1e-3
    for name, value in true.items():
        assert found[name] == pytest.approx(value, abs=0.05 if name.startswith("share") else 0.03 * value)
    # Along its most open direction the sum of squares grows as the curvature says.
    directions = fit.directions(found, whitener)
    names, step = directions["names"], np.array(directions["vectors"][0]) * directions["deviation"][0]
    x = fitting.to_search(names, [found[name] for name in names])
    moved = whitener(fit.printed - fit.predict(fitting.from_search(names, x + 0.1 * step)))
    assert (moved**2).sum() == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize(("ours", "word"), [(102.0, "reproduced"), (110.0, "within 10%"), (140.0, "not: 40% off")])
def test_verdicts_say_how_far_off_a_value_is(paper, ours, word):
    assert paper("figures").verdict(ours, 100.0) == word


@pytest.mark.parametrize("name", ["infer", "figures"])
def test_pages_of_results_show_their_data(paper, name):
    data = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert paper(f"{name}_report").to_markdown(data) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_page_of_the_paper_shows_the_stored_results():
    render = runpy.run_path(str(ROOT / "docs" / "render_the_paper.py"))
    page = (ROOT / "docs" / "the-paper.md").read_text(encoding="utf-8")
    assert render["render"](page, render["results"]()) == page, "run python docs/render_the_paper.py"


@pytest.mark.parametrize(
    ("command", "option", "value", "words"),
    [
        ("infer", "--powers", "3", "powers must be"),
        ("infer", "--tolerance", "-1", "tolerance must lie"),
        ("figures", "--draws", "1", "draws must be"),
    ],
)
def test_sizes_out_of_range_are_refused(paper, tmp_path, capsys, command, option, value, words):
    assert paper(command).main([option, value, "--output", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_command_writes_all_figures(paper, tmp_path, capsys):
    assert paper("figures").main(["--draws", "4", "--cells", "2", "--output", str(tmp_path)]) == 0
    data = json.loads((tmp_path / "figures.json").read_text())
    assert {row["law"] for row in data["printed"]} == {"A", "B"}
    assert len(data["printed"]) == 2 * len(paper("_printed").PRINTED)
    pictures = {path.name for path in tmp_path.iterdir() if path.read_bytes().startswith(b"\x89PNG")}
    assert pictures == {f"{name}.png" for name in ("fig3", "fig4", "fig6", "fig7", "fig8", "splits", "algorithm")}
    assert "python benchmarks/paper/figures.py --draws 4" in capsys.readouterr().out

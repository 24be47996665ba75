"""The study of hidden rates over a given number of rounds: who can know what, and what is lost."""

import json

import numpy as np
import pytest
from library import ROOT

from multispin_gym import load_scenario


@pytest.fixture
def study(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "clock"))
    return benchmark("hidden_rounds")


def test_refusals_are_rounds_in_which_a_draft_was_refused(study):
    counts = study.Counts((1, 3))
    accepted = np.array([[0.0, 2.0, 30.0]])
    counts.add(accepted, np.array([[3, 2, 5]]))
    counts.add(accepted, 25)
    first, second = counts.shapes(np.array([[[0.5, 0.25]] * 3]))
    assert first.tolist() == [[0.5, 4.5, 30.5]]
    assert second.tolist() == [[2.25, 1.25, 0.25]]


def test_nobody_beats_who_knows_and_nothing_is_learned_before_the_first_round(study):
    goodput = study.play(load_scenario("hidden"), 3, 24, 4, 1)
    for values in goodput.values():
        assert values.shape == (3, 24)
        # The solver is not exact cell by cell, where the worst that the certificate shows is a per cent.
        assert (values <= goodput["truth"] * (1.0 + 1e-2)).all()
        assert values.mean() <= goodput["truth"].mean()
    np.testing.assert_array_equal(goodput["posterior"][0], goodput["law"][0])
    np.testing.assert_array_equal(goodput["full feedback"][0], goodput["law"][0])
    assert (goodput["posterior"][2] != goodput["law"][2]).any()
    # Rules are played on the same users, and seeds do not depend on how many rounds are asked for.
    np.testing.assert_array_equal(study.play(load_scenario("hidden"), 1, 24, 4, 1)["mean"][0], goodput["mean"][0])


@pytest.mark.slow
def test_losses_are_of_means_over_the_first_rounds(study, tmp_path, capsys):
    command = ["--scenarios", "hidden", "--rounds", "1", "2", "--cells", "16", "--num-users", "3"]
    assert study.main([*command, "--output", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "hidden_rounds.json").read_text())["scenarios"]["hidden"]
    goodput = study.play(load_scenario("hidden"), 2, 16, 3, 0)
    for count in (1, 2):
        means = {rule: values[:count].mean() for rule, values in goodput.items()}
        for rule, row in found[str(count)].items():
            assert row["goodput"] == pytest.approx(means[rule])
            assert row["loss_to_truth"]["mean"] == pytest.approx(1.0 - means[rule] / means["truth"])
            assert row["loss_to_bound"]["mean"] == pytest.approx(1.0 - means[rule] / means["full feedback"])
    text = (tmp_path / "hidden_rounds.md").read_text()
    assert capsys.readouterr().out.startswith(text)
    assert f"{found['2']['mean']['loss_to_truth']['mean']:.1%}" in text

"""An episode over time: what is drawn is what was played."""

import io

import numpy as np
import pytest
from PIL import Image

from multispin_gym import load_scenario
from multispin_gym.envs.variants import DEADLINE, SERVE, STALE
from multispin_gym.evaluation import evaluate
from multispin_gym.evaluation.policies import make_player
from multispin_gym.evaluation.service.timeline import draw_timeline, record_episode


def recorded(variant, policy, seed):
    scenario = load_scenario(variant.scenario)
    return record_episode(make_player(policy, policy, variant, scenario, 0), variant, scenario, seed)


@pytest.mark.parametrize("variant", [DEADLINE, SERVE], ids=lambda row: row.scenario)
def test_the_requests_of_a_timeline_are_those_that_an_evaluation_counts(variant):
    line = recorded(variant, "fixed_bw_l", 3)
    measures = evaluate(["fixed_bw_l"], env_id=variant.id, episodes=1, seed=3).policies["fixed_bw_l"]
    assert sum(request.on_time is True for request in line.requests) == measures.on_time[0]
    assert line.ends[-1] == pytest.approx(measures.seconds[0])
    assert np.where(line.present, line.lengths, 0).sum() == measures.drafted[0]
    starts, ends = np.array(line.starts), np.array(line.ends)
    assert (starts[1:] >= ends[:-1] - 1e-9).all()
    for request in line.requests:
        assert request.arrival <= request.begin < request.end <= line.ends[-1]


def test_users_who_stay_are_drawn_from_beginning_to_end():
    line = recorded(STALE, "server_only", 1)
    spans = [(request.begin, request.end, request.on_time) for request in line.requests]
    assert spans == [(0.0, line.ends[-1], None)] * 8
    picture = Image.open(io.BytesIO(draw_timeline(line))).convert("RGB")
    width, height = picture.size
    assert width > height > 500
    # Requests without an end fill most of the picture's height, each in a band.
    colors = {color: count for count, color in picture.getcolors(2**20)}
    assert colors[(0xCF, 0xD8, 0xE3)] > 0.4 * width * height

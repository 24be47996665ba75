"""The distribution of decisions: log-probabilities, entropies, sampling, against counting and numeric integration."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from multispin_gym import AffineVerification, Cell
from multispin_gym.agents.policy.distribution import ActionLayout, DecisionDistribution
from multispin_gym.agents.policy.lengths import IndependentLengths, SequentialLengths
from multispin_gym.envs.actions import ActionCodec

STD = 0.3


def make(num_users, low, high, kind="independent", seed=0, mean=None):
    """Make one distribution: of independent lengths, of one common length, or of lengths chosen in turn."""
    generator = torch.Generator().manual_seed(seed)
    common = kind == "common"
    layout = ActionLayout(low, high, common_length=common)
    logits = torch.randn((1, 1 if common else num_users, layout.num_lengths), generator=generator)
    weights = torch.randn((num_users,), generator=generator)
    draft_lengths = IndependentLengths(logits)
    if kind in ("sum", "maximum"):
        mixing = torch.randn((3, layout.num_lengths), generator=generator)

        def turn(codes, others):
            return torch.cat((codes, torch.sin(2.0 * others).unsqueeze(-1)), dim=-1) @ mixing

        codes = torch.randn((1, num_users, 2), generator=generator)
        order = torch.randperm(num_users, generator=generator)[None]
        lengths = torch.arange(low, high + 1.0)
        draft_lengths = SequentialLengths(logits, codes, order, lengths, kind == "maximum", turn)

    def share_mean(lengths):
        return 0.4 * weights * lengths if mean is None else mean.expand(lengths.shape)

    return DecisionDistribution(layout, draft_lengths, share_mean, torch.tensor(math.log(STD)), num_users)


def cell_with(low, high=12):
    return Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06), min_draft_length=low, max_draft_length=high)


def all_lengths(distribution):
    heads = 1 if distribution.layout.common_length else distribution.num_users
    count = distribution.layout.num_lengths
    return torch.tensor(list(itertools.product(range(count), repeat=heads)))


def repeat(distribution, size):
    parts = ("logits", "codes", "order")
    draft_lengths = distribution.draft_lengths
    rows = {
        name: getattr(draft_lengths, name).expand(size, *getattr(draft_lengths, name).shape[1:])
        for name in parts
        if hasattr(draft_lengths, name)
    }
    return dataclasses.replace(distribution, draft_lengths=dataclasses.replace(draft_lengths, **rows))


def length_probabilities(distribution):
    """Return all decisions' indices of lengths, and their probabilities, multiplied up one user at a time."""
    index = all_lengths(distribution)
    log_probs = repeat(distribution, len(index)).draft_lengths.log_probs(index)
    return index, log_probs.gather(-1, index.unsqueeze(-1)).squeeze(-1).sum(dim=-1).exp()


KINDS = ["independent", "sum", "maximum", "common"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low", [0, 1])
def test_probabilities_of_all_decisions_of_two_users_sum_to_one(low, kind):
    distribution = make(2, low, 3, kind)
    grid = torch.linspace(-6.0, 6.0, 4001)
    total = 0.0
    for index in all_lengths(distribution):
        lengths = distribution.layout.lengths(index[None], 2)
        free = int((lengths > 0).sum()) - 1 == 1
        # One free coordinate: the position along the unit vector (1, -1) / sqrt(2).
        points = grid if free else grid[:1]
        logits = torch.stack((points, -points), dim=-1) / math.sqrt(2.0)
        actions = distribution.layout.encode(index.expand(len(points), -1), logits)
        density = repeat(distribution, len(points)).log_prob(actions).exp()
        total += float(torch.trapezoid(density, grid)) if free else float(density)
    assert total == pytest.approx(1.0, abs=1e-4)


def test_density_of_three_users_shares_integrates_to_the_probability_of_their_lengths():
    distribution = make(3, 1, 2)
    index = torch.tensor([[0, 1, 1]])
    axis = torch.linspace(-3.0, 3.0, 301)
    x, y = (values.reshape(-1) for values in torch.meshgrid(axis, axis, indexing="ij"))
    basis = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / torch.tensor([[2.0], [6.0]]).sqrt()
    actions = distribution.layout.encode(index.expand(len(x), -1), x[:, None] * basis[0] + y[:, None] * basis[1])
    density = repeat(distribution, len(x)).log_prob(actions).exp()
    cell = float(axis[1] - axis[0]) ** 2
    probability = distribution.draft_lengths.log_probs(index)[0].gather(-1, index.T).sum().exp()
    assert float(density.sum()) * cell == pytest.approx(float(probability), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low", [0, 1])
def test_sampled_lengths_come_with_their_probabilities(low, kind):
    torch.manual_seed(0)
    size = 200_000
    distribution = make(3, low, 2, kind)
    index, _ = distribution.layout.split(repeat(distribution, size).sample())
    decisions, probabilities = length_probabilities(distribution)
    assert float(probabilities.sum()) == pytest.approx(1.0, abs=1e-5)
    for decision, probability in zip(decisions, probabilities, strict=True):
        frequency = float((index == decision).all(dim=-1).float().mean())
        assert frequency == pytest.approx(float(probability), abs=5 / math.sqrt(4 * size))


@pytest.mark.parametrize("kind", ["sum", "maximum"])
def test_a_turn_sees_the_lengths_before_it_and_those_expected_after_it(kind):
    distribution = make(3, 1, 3, kind)
    drawn, seen = distribution.draft_lengths, []

    def turn(codes, others):
        seen.append((codes, others))
        return torch.zeros(3)

    watched = dataclasses.replace(drawn, turn=turn)
    index = torch.tensor([[2, 0, 1]])
    watched.log_probs(index)
    codes, others = seen.pop()
    expected = torch.softmax(drawn.logits[0], dim=-1) @ torch.arange(1.0, 4.0)
    together = max if kind == "maximum" else sum
    order = drawn.order[0].tolist()
    for turn_number, user in enumerate(order):
        before = [float(index[0, other]) + 1.0 for other in order[:turn_number]]
        after = [float(expected[other]) for other in order[turn_number + 1 :]]
        assert torch.equal(codes[0, turn_number], drawn.codes[0, user])
        assert float(others[0, turn_number]) == pytest.approx(together(before + after), abs=1e-5)
    # Choosing sees in turn what evaluating sees at once.
    picks = iter(index[0, order].tolist())
    assert torch.equal(watched.choose(lambda log_probs: torch.tensor([next(picks)])), index)
    assert torch.allclose(torch.stack([others for _, others in seen], dim=-1), others, atol=1e-5)


def test_executed_shares_are_spread_as_the_density_says():
    torch.manual_seed(2)
    size = 100_000
    distribution = repeat(make(3, 1, 1), size)
    shares = ActionCodec(cell_with(1, 1), 3).decode(distribution.sample().numpy()).bandwidth_shares
    # The log-ratio of two shares has the means' difference and twice the logits' variance.
    log_ratio = np.log(shares[:, 0] / shares[:, 1])
    mean = distribution.share_mean(torch.ones((1, 3)))[0]
    assert log_ratio.mean() == pytest.approx(float(mean[0] - mean[1]), abs=5 * STD * math.sqrt(2 / size))
    assert log_ratio.std() == pytest.approx(STD * math.sqrt(2.0), rel=0.02)


def test_a_common_shift_and_idle_users_do_not_change_the_log_probability():
    distribution = make(3, 0, 2)
    index, logits = torch.tensor([[2, 0, 1]]), torch.tensor([[0.3, -0.2, 0.8]])
    action = distribution.layout.encode(index, logits)
    for other in (logits + 1.7, logits + torch.tensor([[0.0, 5.0, 0.0]])):
        moved = distribution.log_prob(distribution.layout.encode(index, other))
        assert float(moved) == pytest.approx(float(distribution.log_prob(action)), abs=1e-4)


def shares_of(logits, uploads):
    """Softmax over the users who upload, with the greatest logit taken out first."""
    top = logits.double().amax(dim=-1, keepdim=True)
    weights = torch.where(uploads, (logits.double() - top).exp(), 0.0).numpy()
    total = weights.sum(axis=-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low", [0, 1])
def test_the_environment_decodes_the_lengths_and_shares_that_were_meant(low, kind):
    torch.manual_seed(3)
    distribution = repeat(make(4, low, 12, kind), 500)
    action = distribution.sample()
    index, logits = distribution.layout.split(action)
    decision = ActionCodec(cell_with(low), 4, common_length=kind == "common").decode(action.numpy())
    lengths = distribution.layout.lengths(index, 4)
    assert np.array_equal(decision.draft_lengths, lengths.numpy())
    assert np.allclose(decision.bandwidth_shares, shares_of(logits, lengths > 0), atol=1e-9)


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0, 12), (1, 12), (0, 1), (1, 1), (1, 2), (3, 40)])
@pytest.mark.parametrize("num_users", [1, 5])
def test_actions_mean_to_the_layout_what_they_mean_to_the_environment(num_users, low, high, common):
    layout = ActionLayout(low, high, common_length=common)
    codec = ActionCodec(cell_with(low, high), num_users, common_length=common)
    assert layout.num_lengths == codec.cell.num_draft_lengths
    generator = torch.Generator().manual_seed(0)

    # Every length, with logits that fill the box, laid out by the network.
    heads = 1 if common else num_users
    index = torch.arange(layout.num_lengths).repeat(20)[:, None].expand(-1, heads)
    index = (index + torch.randint(layout.num_lengths, (1, heads), generator=generator)) % layout.num_lengths
    logits = 12.0 * torch.rand((len(index), num_users), generator=generator) - 6.0
    decision = codec.decode(layout.encode(index, logits).numpy())
    lengths = layout.lengths(index, num_users)
    assert np.array_equal(decision.draft_lengths, lengths.numpy())
    # Logits of up to 6 in magnitude are scaled and shifted in float32.
    assert np.allclose(decision.bandwidth_shares, shares_of(logits, lengths > 0), rtol=8 * 6.0 * 2.0**-24, atol=0.0)

    # Any action of the box, its corners included, read by the network.
    action = (2.4 * torch.rand((5000, codec.size), generator=generator) - 1.2).clamp(-1.0, 1.0)
    edges = (action[:, :heads].double() + 1.0) * (0.5 * layout.num_lengths)
    inside = ((edges - edges.round()).abs() > 1e-5) | (edges.round() % layout.num_lengths == 0)
    action = action[inside.all(dim=-1)]
    assert len(action) > 4900
    index, logits = layout.split(action)
    lengths = layout.lengths(index, num_users)
    decision = codec.decode(action.numpy())
    assert np.array_equal(decision.draft_lengths, lengths.numpy())
    assert np.allclose(decision.bandwidth_shares, shares_of(logits, lengths > 0), rtol=4 * 6.0 * 2.0**-24, atol=0.0)

    # What the environment lays out for a decision, read by the network.
    index, logits = layout.split(torch.from_numpy(codec.encode(decision)))
    assert torch.equal(layout.lengths(index, num_users), lengths)
    assert np.allclose(decision.bandwidth_shares, shares_of(logits, lengths > 0), rtol=8 * 6.0 * 2.0**-24, atol=0.0)


def test_extreme_means_still_fit_into_the_box():
    distribution = make(4, 1, 3, mean=torch.tensor([40.0, 0.0, -40.0, 1.0]))
    assert float(distribution.mode().abs().max()) <= 1.0
    torch.manual_seed(4)
    inside = repeat(distribution, 1000).sample().abs().amax(dim=-1) <= 1.0
    assert float(inside.float().mean()) > 0.99
    assert torch.isfinite(distribution.log_prob(distribution.mode())).all()


def test_mode_is_the_likeliest_decision():
    distribution = make(2, 1, 3)
    best = distribution.log_prob(distribution.mode())
    torch.manual_seed(5)
    others = repeat(distribution, 2000)
    sampled = others.sample()
    same = (others.layout.split(sampled)[0] == others.layout.split(distribution.mode())[0]).all(dim=-1)
    assert (others.log_prob(sampled)[same] <= best + 1e-4).all()
    assert torch.equal(others.layout.split(distribution.mode())[0], distribution.draft_lengths.logits.argmax(dim=-1))


@pytest.mark.parametrize("kind", ["independent", "common"])
def test_shares_that_follow_from_the_lengths_carry_no_probability(kind):
    distribution = dataclasses.replace(make(3, 0, 2, kind), log_std=None)
    index, probability = length_probabilities(distribution)
    rows = repeat(distribution, len(index))
    actions = rows.layout.encode(index, torch.randn(len(index), 3))
    log_prob, entropy = rows.evaluate(actions)
    torch.testing.assert_close(log_prob.exp(), probability)
    assert float(probability.sum()) == pytest.approx(1.0, rel=1e-6)
    assert float(entropy[0]) == pytest.approx(-float((probability * probability.log()).sum()), rel=1e-5)
    torch.manual_seed(1)
    drawn = repeat(distribution, 500).sample()
    chosen, logits = distribution.layout.split(drawn)
    mean = distribution.share_mean(distribution.layout.lengths(chosen, 3))
    uploads = distribution.layout.lengths(chosen, 3) > 0.0
    for row in range(500):
        few = uploads[row]
        offset = (logits[row] - mean[row])[few]
        assert few.sum() == 0 or float(offset.max() - offset.min()) < 1e-5

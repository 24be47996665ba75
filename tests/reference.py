"""Slow, independent optima that the controllers are measured against."""

import itertools

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import lambertw

from multispin_gym import AffineVerification, Cell, TableVerification, Users, expected_tokens
from multispin_gym.baselines import list_controllers

LN2 = np.log(2.0)
# Algorithm 1 of the paper wants a power density and a verification time that does not depend on the lengths.
FOR_ANY_CELL = [name for name in list_controllers() if name != "multi_spin"]


def strength(users, cell):
    """Received power over the noise per Hz, Hz."""
    noise = cell.noise_psd if cell.noise_power is None else cell.noise_power / cell.bandwidth
    return users.transmit_power * users.channel_gain / noise


def bandwidth_needed(users, cell, seconds_per_token):
    """Bandwidth with which one drafted token is made and sent in the given time; by Lambert's W for total power."""
    spare = seconds_per_token - 1.0 / users.drafting_speed
    rate = np.divide(cell.payload, spare, out=np.full(spare.shape, np.inf), where=spare > 0.0)
    signal = np.broadcast_to(strength(users, cell), rate.shape)
    if cell.power == "density":
        return rate / (np.log1p(signal / cell.bandwidth) / LN2)
    y = rate * LN2 / signal
    possible = y < 1.0
    inner = np.where(possible & (y > 0.0), y, 0.5)
    x = np.maximum(-1.0 - lambertw(-inner * np.exp(-inner), -1).real / inner, 1.0 - inner)
    # Near y = 1 the formula loses its digits.
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(6):
            x = x - (np.log1p(x) - inner * x) / (1.0 / (1.0 + x) - inner)
    return np.where(y > 0.0, np.where(possible, signal / x, np.inf), 0.0)


def verification_seconds(cell, lengths):
    """Verification time of each row of draft lengths, with the round trip and the downlink that a cell may have."""
    num_users = lengths.shape[-1]
    padded = cell.verification.batching == "padded"
    tokens = num_users * (lengths.max(axis=-1) + 1.0) if padded else lengths.sum(axis=-1) + num_users
    delay = np.where(lengths.max(axis=-1) > 0.0, cell.round_trip, 0.0) + seconds_down(cell)
    return cell.verification.time(tokens, num_users) + delay


def seconds_down(cell):
    """What the downlink takes in any round."""
    return 0.0 if cell.downlink is None else cell.downlink_payload / cell.downlink


def rate_on(users, cell, bandwidth):
    """Rate of each user on a bandwidth."""
    signal = strength(users, cell)
    return bandwidth * np.log1p(signal / (bandwidth if cell.power == "total" else cell.bandwidth)) / LN2


def all_lengths(cell, num_users):
    """Every whole decision that the cell allows."""
    options = range(cell.min_draft_length, cell.max_draft_length + 1)
    return np.array(list(itertools.product(options, repeat=num_users)), dtype=np.float64)


def tokens_of(users, lengths):
    """Expected tokens of each user at whole lengths, by its rate or by its curve."""
    if users.survival is None:
        return expected_tokens(users.acceptance_rate, lengths)
    made = np.arange(1, users.survival.shape[-1] + 1) <= lengths[..., None]
    return 1.0 + np.where(made, users.survival, 0.0).sum(axis=-1)


def brute_force(users, cell, lengths=None):
    """Best goodput over whole lengths, and the lengths; the deadline of each by bisection, hopeless ones dropped."""
    lengths = all_lengths(cell, users.num_users) if lengths is None else lengths
    tokens = tokens_of(users, lengths).sum(axis=-1)
    waiting = verification_seconds(cell, lengths)
    tau = 1.0 / users.drafting_speed
    # Nobody is faster than on the whole band alone; everybody can finish on equal shares.
    low = (lengths * (tau + cell.payload / rate_on(users, cell, cell.bandwidth))).max(axis=-1)
    high = (lengths * (tau + cell.payload / rate_on(users, cell, cell.bandwidth / users.num_users))).max(axis=-1)
    for _ in range(60):
        reached = tokens / (high + waiting)
        hopeful = tokens / (low + waiting) >= reached.max()
        lengths, tokens, waiting, low, high = (a[hopeful] for a in (lengths, tokens, waiting, low, high))
        middle = 0.5 * (low + high)
        per_token = np.divide(middle[:, None], lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0.0)
        fits = bandwidth_needed(users, cell, per_token).sum(axis=-1) <= cell.bandwidth
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    best = np.argmax(tokens / (high + waiting))
    return float((tokens / (high + waiting))[best]), lengths[best]


def best_common(users, cell):
    """Best common draft length, its goodput and its split, each split by a bracketed root search."""
    tau = 1.0 / users.drafting_speed
    fastest = float((tau + cell.payload / rate_on(users, cell, cell.bandwidth)).max())
    slowest = float((tau + cell.payload / rate_on(users, cell, cell.bandwidth / users.num_users)).max())

    def excess(seconds):
        return bandwidth_needed(users, cell, np.full(users.num_users, seconds)).sum() / cell.bandwidth - 1.0

    def finite_excess(seconds):
        return min(excess(seconds), 1e6)

    per_token = fastest if users.num_users == 1 else brentq(finite_excess, fastest, slowest, xtol=1e-300, rtol=1e-14)
    shares = bandwidth_needed(users, cell, np.full(users.num_users, per_token)) / cell.bandwidth
    goodput = {}
    for length in range(cell.min_draft_length, cell.max_draft_length + 1):
        drafts = np.full(users.num_users, float(length))
        seconds = length * per_token + float(verification_seconds(cell, drafts))
        goodput[length] = float(tokens_of(users, drafts).sum()) / seconds
    best = max(goodput, key=goodput.get)
    return best, goodput[best], shares


def nested_family(users, cell):
    """Every nested member of one cell, and the least lengths, for which no deadline is needed."""
    rate = rate_on(users, cell, cell.bandwidth / users.num_users)
    per_token = 1.0 / users.drafting_speed + cell.payload / rate
    low, high = cell.min_draft_length, cell.max_draft_length
    members = [np.full(users.num_users, float(low))]
    for deadline in (np.arange(1, high + 1)[:, None] * per_token).ravel():
        # The deadline is one user's time for whole tokens, which a quotient can miss by its rounding.
        members.append(np.clip(np.floor(deadline / per_token * (1.0 + 1e-12)), low, high))
    return np.unique(members, axis=0)


def relaxed_optimum(users, cell, starts, rng):
    """Best goodput over real lengths by SLSQP from several starts, piece by piece of the verification time."""
    return max(_slsqp(users, cell, piece, rng) for piece in verification_pieces(users, cell) for _ in range(starts))


def verification_pieces(users, cell):
    """Stretches of the decisions on which the verification time is ``base + slope * sum(lengths + 1)``."""
    server, num_users, delay = cell.verification, users.num_users, cell.round_trip + seconds_down(cell)
    if server.batching == "padded":
        for longest in range(max(1, cell.min_draft_length), cell.max_draft_length + 1):
            yield longest, float(server.time(num_users * (longest + 1.0), num_users)) + delay, 0.0, None
    elif isinstance(server, AffineVerification):
        yield cell.max_draft_length, server.fixed + server.per_draft * num_users + delay, server.per_token, None
    else:
        first, last = num_users * (cell.min_draft_length + 1), num_users * (cell.max_draft_length + 1)
        ends = [first, *(n for n in server.num_tokens if first < n < last), last]
        for left, right in itertools.pairwise(ends):
            slope = float(server.time(right) - server.time(left)) / (right - left)
            yield cell.max_draft_length, float(server.time(left)) - slope * left + delay, slope, (left, right)


def within(bounds):
    """Bounds as a constraint: the SLSQP of some releases of SciPy oversteps its own by a rounding error, and warns."""
    low, high = np.array(bounds, dtype=np.float64).T  # no bound is a NaN
    ends = np.append(low, -high)
    bounded = ~np.isnan(ends)
    rows = np.concatenate([np.eye(len(low)), -np.eye(len(low))])[bounded]
    return {"type": "ineq", "fun": lambda z: rows @ z - ends[bounded], "jac": lambda z: rows}


def _slsqp(users, cell, piece, rng):
    longest, base, slope, batch = piece
    num_users, shortest = users.num_users, cell.min_draft_length
    tau = 1.0 / users.drafting_speed
    scale = base + slope * num_users
    alpha = users.acceptance_rate

    def split(z):
        return z[:num_users], z[num_users : 2 * num_users], z[-1] * scale

    def cost(z):
        lengths, _, deadline = split(z)
        return -float(expected_tokens(alpha, np.maximum(lengths, 0.0)).sum()) / (
            (deadline + base + slope * (lengths.sum() + num_users)) / scale
        )

    def in_time(z):
        lengths, shares, deadline = split(z)
        sent = rate_on(users, cell, np.maximum(shares, 1e-12) * cell.bandwidth) / cell.payload
        return (deadline - tau * lengths) * sent - lengths

    constraints = [
        {"type": "ineq", "fun": in_time},
        {"type": "ineq", "fun": lambda z: 1.0 - z[num_users : 2 * num_users].sum()},
    ]
    if batch is not None:
        constraints += [
            {"type": "ineq", "fun": lambda z: z[:num_users].sum() + num_users - batch[0]},
            {"type": "ineq", "fun": lambda z: batch[1] - z[:num_users].sum() - num_users},
        ]
    lengths = rng.uniform(shortest, longest, num_users)
    shares = rng.dirichlet(np.full(num_users, 5.0))
    deadline = (lengths * (tau + cell.payload / rate_on(users, cell, shares * cell.bandwidth))).max()
    bounds = [(shortest, longest)] * num_users + [(1e-9, 1.0)] * num_users + [(0.0, None)]
    start = np.concatenate([lengths, shares, [deadline / scale]])
    constraints.append(within(bounds))
    found = minimize(cost, start, method="SLSQP", constraints=constraints, options={"maxiter": 500, "ftol": 1e-13})
    feasible = all(np.min(constraint["fun"](found.x)) > -1e-8 for constraint in constraints)
    return -found.fun / scale if feasible else 0.0


STAIRCASE = ([2.0, 9.0, 12.0, 20.0, 40.0], [0.040, 0.035, 0.050, 0.055, 0.090])


def random_cell(rng, form, batching, power, shortest=1, longest=8):
    """A cell in the regime where drafting, sending and verifying all matter."""
    if form == "affine":
        verification = AffineVerification(rng.uniform(0.03, 0.1), rng.uniform(0.0, 1e-3), batching)
    else:
        verification = TableVerification(*STAIRCASE, batching)
    return Cell(10.0 ** rng.uniform(6, 7), 4e-21, 16384.0, verification, power, shortest, longest)


def random_users(rng, num_users):
    """Users with a wide spread of every property."""
    return Users(
        rng.uniform(0.2, 0.97, num_users),
        rng.uniform(40.0, 300.0, num_users),
        10.0 ** rng.uniform(-12.5, -10.0, num_users),
        rng.uniform(0.01, 0.03, num_users),
    )


def random_curves(rng, shape, longest):
    """Acceptance curves of every kind: smooth, in steps, certain or hopeless from some draft on."""
    curves = np.sort(rng.random((*shape, longest)), axis=-1)[..., ::-1]
    kind = rng.integers(0, 4, (*shape, 1))
    until = np.arange(longest) < rng.integers(0, longest + 1, (*shape, 1))
    return np.select([kind == 0, kind == 1, kind == 2], [curves, np.round(curves, 1), until * 1.0], curves * until)


FORMS = list(itertools.product(("affine", "table"), ("padded", "ragged"), ("total", "density")))

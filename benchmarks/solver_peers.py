"""What one would write without this library, for a cell with a ragged batch and an affine verification time.

Every peer takes users and a cell and returns draft lengths; what these lengths are worth is computed elsewhere, the
same way for all. ``slsqp``, ``slsqp_numeric``, ``slsqp_multistart`` and ``cvxpy`` solve the relaxation to real lengths,
``brute``, ``evolution`` and ``scip`` the problem itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from brute_force import LN2, brute_force, goodputs
from scipy.optimize import OptimizeResult, differential_evolution, minimize

from multispin_gym import Cell, Users

STARTS = 10
# Processor time after which SCIP returns the best that it has.
SCIP_SECONDS = 10.0


class Formulation:
    """Relaxed problem in lengths, shares and deadline, with its derivatives; times in units of the round's fixed time.

    Maximises ``sum N(L) / (T + V(L))`` with ``L_k <= (T - tau_k L_k) R_k(w_k) / Q`` and ``sum w <= 1``.
    """

    def __init__(self, users: Users, cell: Cell) -> None:
        server: Any = cell.verification.of_batch(users.num_users)
        self.num_users = users.num_users
        self.unit = float(server.fixed)
        self.slope = float(server.per_token) / self.unit
        self.tau = 1.0 / users.drafting_speed / self.unit
        self.alpha, self.decay = users.acceptance_rate, -np.log(users.acceptance_rate)
        self.signal = users.transmit_power * users.channel_gain / cell.noise_density / cell.bandwidth
        self.tokens_per_unit = cell.bandwidth * self.unit / cell.payload
        self.total = cell.power == "total"
        low, high = max(float(cell.min_draft_length), 1e-3), float(cell.max_draft_length)
        self.bounds = [(low, high)] * self.num_users + [(1e-7, 1.0)] * self.num_users + [(0.0, None)]

    def split(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Lengths, shares and deadline of a point."""
        return z[: self.num_users], z[self.num_users : -1], float(z[-1])

    def rate(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens per unit of time on the shares, and its derivative."""
        if not self.total:
            efficiency = self.tokens_per_unit * np.log2(1.0 + self.signal)
            return shares * efficiency, efficiency
        x = self.signal / shares
        value = self.tokens_per_unit / LN2 * shares * np.log1p(x)
        return value, self.tokens_per_unit / LN2 * (np.log1p(x) - x / (1.0 + x))

    def cost(self, z: np.ndarray) -> float:
        """Goodput, to be minimised with its sign turned."""
        return self.cost_and_gradient(z)[0]

    def cost_and_gradient(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The cost and its derivatives."""
        lengths, _, deadline = self.split(z)
        power = self.alpha ** (lengths + 1.0)
        tokens = ((1.0 - power) / (1.0 - self.alpha)).sum()
        seconds = deadline + 1.0 + self.slope * (lengths.sum() + self.num_users)
        gradient = np.zeros_like(z)
        gradient[: self.num_users] = tokens / seconds**2 * self.slope
        gradient[: self.num_users] -= self.decay * power / (1.0 - self.alpha) / seconds
        gradient[-1] = tokens / seconds**2
        return -tokens / seconds, gradient

    def constraints(self, z: np.ndarray) -> np.ndarray:
        """What must be at least 0: every user in time, and the band."""
        lengths, shares, deadline = self.split(z)
        in_time = (deadline - self.tau * lengths) * self.rate(shares)[0] - lengths
        return np.append(in_time, 1.0 - shares.sum())

    def constraint_gradients(self, z: np.ndarray) -> np.ndarray:
        """Derivatives of the constraints."""
        lengths, shares, deadline = self.split(z)
        rate, slope = self.rate(shares)
        k = self.num_users
        gradient = np.zeros((k + 1, 2 * k + 1))
        index = np.arange(k)
        gradient[index, index] = -self.tau * rate - 1.0
        gradient[index, k + index] = (deadline - self.tau * lengths) * slope
        gradient[:k, -1] = rate
        gradient[k, k : 2 * k] = -1.0
        return gradient

    def start(self, lengths: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """A feasible point of given lengths and shares."""
        deadline = (lengths * (self.tau + 1.0 / self.rate(shares)[0])).max()
        return np.concatenate([lengths, shares, [deadline]])

    def solve(self, start: np.ndarray, numeric: bool = False) -> OptimizeResult:
        """Run SLSQP from a point, with analytic or numeric derivatives."""
        constraint: dict[str, Any] = {"type": "ineq", "fun": self.constraints}
        if not numeric:
            constraint["jac"] = self.constraint_gradients
        return minimize(
            self.cost if numeric else self.cost_and_gradient,
            start,
            jac=None if numeric else True,
            method="SLSQP",
            bounds=self.bounds,
            constraints=[constraint],
            options={"maxiter": 1000, "ftol": 1e-10},
        )


def slsqp(users: Users, cell: Cell, numeric: bool = False) -> np.ndarray:
    """One start from a middling length and equal shares."""
    problem = Formulation(users, cell)
    shares = np.full(users.num_users, 1.0 / users.num_users)
    middling = np.clip(np.full(users.num_users, 4.0), cell.min_draft_length, cell.max_draft_length)
    return np.asarray(problem.solve(problem.start(middling, shares), numeric).x[: users.num_users])


def slsqp_numeric(users: Users, cell: Cell) -> np.ndarray:
    """One start, derivatives by finite differences."""
    return slsqp(users, cell, numeric=True)


def slsqp_multistart(users: Users, cell: Cell) -> np.ndarray:
    """The best of ten random starts."""
    problem, rng, best = Formulation(users, cell), np.random.default_rng(0), None
    for _ in range(STARTS):
        lengths = rng.uniform(max(cell.min_draft_length, 1), cell.max_draft_length, users.num_users)
        found = problem.solve(problem.start(lengths, rng.dirichlet(np.full(users.num_users, 5.0))))
        feasible = problem.constraints(found.x).min() > -1e-6
        if feasible and (best is None or found.fun < best.fun):
            best = found
    return np.zeros(users.num_users) if best is None else np.asarray(best.x[: users.num_users])


def cvxpy(users: Users, cell: Cell) -> np.ndarray:
    """Disciplined convex programming (cvxpy with Clarabel), Dinkelbach's iteration around it.

    Multiplied by the deadline T, the round's constraints are perspectives: with ``u = T w`` in place of the shares,
    ``Q / tau (T^2 / (T - tau L) - T) <= u B log2(1 + S T / (B u))`` is convex in (L, u, T) together.
    """
    import cvxpy as cp

    problem = Formulation(users, cell)
    tau, per_unit = problem.tau, problem.tokens_per_unit
    lengths, parts, deadline = cp.Variable(problem.num_users), cp.Variable(problem.num_users), cp.Variable()
    level = cp.Parameter(nonneg=True)
    weight = 1.0 / (1.0 - problem.alpha)
    tokens = weight.sum() - weight @ cp.exp(cp.multiply(-problem.decay, lengths + 1.0))
    seconds = deadline + 1.0 + problem.slope * (cp.sum(lengths) + problem.num_users)
    constraints = [lengths >= problem.bounds[0][0], lengths <= problem.bounds[0][1], cp.sum(parts) <= deadline]
    for k in range(problem.num_users):
        needed = (cp.quad_over_lin(deadline, deadline - tau[k] * lengths[k]) - deadline) / tau[k]
        if problem.total:
            carried = -cp.rel_entr(parts[k], parts[k] + problem.signal[k] * deadline) * (per_unit / LN2)
        else:
            carried = parts[k] * (per_unit * np.log2(1.0 + problem.signal[k]))
        constraints.append(needed <= carried)
    program = cp.Problem(cp.Maximize(tokens - level * seconds), constraints)
    level.value = problem.num_users
    for _ in range(30):
        program.solve(solver=cp.CLARABEL)
        reached = float(tokens.value / seconds.value)
        if abs(reached - level.value) <= 1e-9 * reached:
            break
        level.value = reached
    return np.asarray(np.clip(lengths.value, *problem.bounds[0]))


def brute(users: Users, cell: Cell) -> np.ndarray:
    """All whole lengths, vectorised, beaten ones dropped early."""
    return brute_force(users, cell)[1]


def evolution(users: Users, cell: Cell) -> np.ndarray:
    """Differential evolution over whole lengths, a whole population at a time; deadlines by bisection."""
    found = differential_evolution(
        lambda lengths: -goodputs(users, cell, np.round(lengths.T), steps=30),
        [(cell.min_draft_length, cell.max_draft_length)] * users.num_users,
        integrality=np.ones(users.num_users, dtype=bool),
        vectorized=True,
        updating="deferred",
        polish=False,
        rng=0,
    )
    return np.asarray(np.round(found.x))


def scip(users: Users, cell: Cell, seconds: float = SCIP_SECONDS) -> np.ndarray:
    """SCIP on the mixed-integer nonlinear problem; the tokens are linear in one binary for each drafted token."""
    import pyscipopt

    problem = Formulation(users, cell)
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("timing/clocktype", 1)
    model.setParam("limits/time", seconds)
    model.setParam("limits/gap", 1e-6)
    k, low, high = problem.num_users, cell.min_draft_length, cell.max_draft_length
    drafted = [[model.addVar(vtype="B", lb=1.0 if n < low else 0.0) for n in range(high)] for _ in range(k)]
    shares = [model.addVar(lb=1e-7, ub=1.0) for _ in range(k)]
    deadline, level = model.addVar(lb=0.0, ub=1e3), model.addVar(lb=0.0, ub=float(k * (high + 1)))
    lengths = [pyscipopt.quicksum(row) for row in drafted]
    tokens = pyscipopt.quicksum(
        float(problem.alpha[i] ** (n + 1)) * drafted[i][n] for i in range(k) for n in range(high)
    )
    seconds_used = deadline + 1.0 + problem.slope * (pyscipopt.quicksum(lengths) + k)
    for i in range(k):
        for n in range(1, high):
            model.addCons(drafted[i][n] <= drafted[i][n - 1])
        spare = deadline - float(problem.tau[i]) * lengths[i]
        if problem.total:
            scale = problem.tokens_per_unit / LN2
            rate = scale * shares[i] * pyscipopt.log(1.0 + float(problem.signal[i]) / shares[i])
        else:
            rate = problem.tokens_per_unit * float(np.log2(1.0 + problem.signal[i])) * shares[i]
        model.addCons(spare >= 0.0)
        model.addCons(spare * rate >= lengths[i])
    model.addCons(pyscipopt.quicksum(shares) <= 1.0)
    model.addCons(level * seconds_used <= tokens + k)
    model.setObjective(level, "maximize")
    model.optimize()
    if model.getNSols() == 0:
        return np.full(k, float(low))
    return np.array([round(sum(model.getVal(v) for v in row)) for row in drafted], dtype=np.float64)

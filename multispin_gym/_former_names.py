"""Module names of earlier layouts: each leads to the module that took its place, the very same object."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

FORMER_NAMES = {
    "multispin_gym.acceptance": "multispin_gym.physics.acceptance",
    "multispin_gym.cell": "multispin_gym.physics.cell",
    "multispin_gym.env": "multispin_gym.envs.single",
    "multispin_gym.environment": "multispin_gym.envs.shared",
    "multispin_gym.evaluation_cli": "multispin_gym.evaluation.cli",
    "multispin_gym.fading": "multispin_gym.physics.fading",
    "multispin_gym.homogeneous_env": "multispin_gym.envs.homogeneous",
    "multispin_gym.measurements": "multispin_gym.scenarios.measured_tables",
    "multispin_gym.objectives": "multispin_gym.physics.objectives",
    "multispin_gym.path_loss": "multispin_gym.physics.path_loss",
    "multispin_gym.payload": "multispin_gym.physics.protocols",
    "multispin_gym.plotting": "multispin_gym.evaluation.figures",
    "multispin_gym.policies": "multispin_gym.evaluation.policies",
    "multispin_gym.populations": "multispin_gym.scenarios.populations",
    "multispin_gym.presets": "multispin_gym.scenarios.presets",
    "multispin_gym.provenance": "multispin_gym.scenarios.sources",
    "multispin_gym.reductions": "multispin_gym._arrays",
    "multispin_gym.registration": "multispin_gym.envs.registration",
    "multispin_gym.report": "multispin_gym.evaluation.report",
    "multispin_gym.results": "multispin_gym.evaluation.results",
    "multispin_gym.rewards": "multispin_gym.envs.rewards",
    "multispin_gym.rounds": "multispin_gym.physics.rounds",
    "multispin_gym.scenario": "multispin_gym.scenarios.scenario",
    "multispin_gym.scenario_library": "multispin_gym.scenarios.library",
    "multispin_gym.scenario_toml": "multispin_gym.scenarios.files",
    "multispin_gym.simulator": "multispin_gym.envs.game",
    "multispin_gym.spaces": "multispin_gym.envs",
    "multispin_gym.streams": "multispin_gym.scenarios.episodes",
    "multispin_gym.tally": "multispin_gym.evaluation.tally",
    "multispin_gym.tape": "multispin_gym.evaluation.open_loop",
    "multispin_gym.uplink": "multispin_gym.physics.uplink",
    "multispin_gym.users": "multispin_gym.physics.users",
    "multispin_gym.vector_env": "multispin_gym.envs.vector",
    "multispin_gym.verification": "multispin_gym.physics.verification",
    "multispin_gym.agents.callbacks": "multispin_gym.agents.training.callbacks",
    "multispin_gym.agents.cloning": "multispin_gym.agents.training.cloning",
    "multispin_gym.agents.distribution": "multispin_gym.agents.policy.distribution",
    "multispin_gym.agents.features": "multispin_gym.agents.policy.features",
    "multispin_gym.agents.lengths": "multispin_gym.agents.policy.lengths",
    "multispin_gym.agents.mixed_users": "multispin_gym.agents.training.mixed_users",
    "multispin_gym.agents.model_state": "multispin_gym.agents.training.checkpoint",
    "multispin_gym.agents.network": "multispin_gym.agents.policy.network",
    "multispin_gym.agents.references": "multispin_gym.agents.policy.share_references",
    "multispin_gym.agents.search": "multispin_gym.agents.tune",
    "multispin_gym.agents.seeds": "multispin_gym.agents.training.seeds",
    "multispin_gym.agents.training_env": "multispin_gym.agents.training",
    "multispin_gym.agents.turns": "multispin_gym.agents.policy.turn_head",
    "multispin_gym.agents.vec_adapter": "multispin_gym.agents.training.vec_adapter",
    "multispin_gym.baselines.bounds": "multispin_gym.baselines.solver.bounds",
    "multispin_gym.baselines.branch_and_bound": "multispin_gym.baselines.solver.branch_and_bound",
    "multispin_gym.baselines.idle_prices": "multispin_gym.baselines.solver.idle_prices",
    "multispin_gym.baselines.latency": "multispin_gym.baselines.solver.deadline",
    "multispin_gym.baselines.newton": "multispin_gym.baselines.solver.newton",
    "multispin_gym.baselines.pieces": "multispin_gym.baselines.solver.pieces",
    "multispin_gym.baselines.problem": "multispin_gym.baselines.solver.problem",
    "multispin_gym.baselines.rounding": "multispin_gym.baselines.solver.local_search",
    "multispin_gym.baselines.search": "multispin_gym.baselines.solver.piece_search",
    "multispin_gym.baselines.share_curves": "multispin_gym.baselines.solver.share_curves",
    "multispin_gym.baselines.stationarity": "multispin_gym.baselines.solver.stationarity",
}
"""Earlier name of a module -> its name today."""


class _FormerNames(MetaPathFinder, Loader):
    """Finds the modules of :data:`FORMER_NAMES`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec that loads the module of today's name, or None for any other name."""
        if fullname not in FORMER_NAMES:
            return None
        module = importlib.import_module(FORMER_NAMES[fullname])
        # Importing a module writes the spec into it: what it says of itself is put back afterwards.
        return ModuleSpec(fullname, self, loader_state=(module, module.__spec__))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module of today's name."""
        module: ModuleType = spec.loader_state[0]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Put the module's own spec back: it was run already."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state[1]

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of today's module, which ``python -m`` runs."""
        name = FORMER_NAMES[fullname]
        loader = importlib.import_module(name).__loader__
        assert isinstance(loader, InspectLoader)
        return loader.get_code(name)


def install() -> None:
    """Let the earlier names be imported."""
    if not any(isinstance(finder, _FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(_FormerNames())

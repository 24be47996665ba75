"""In which environments agents can be trained."""

from __future__ import annotations

from multispin_gym.envs.variants import VARIANTS, Variant, variant_of


def learnable_variant(env_id: str) -> Variant:
    """Return the row of an environment in which agents can be trained.

    Parameters
    ----------
    env_id
        A registered id of the family.

    Returns
    -------
    Variant
        Its row.

    Raises
    ------
    ValueError
        If there is none, or time passes in it: the policy does not know what is observed there.
    """
    variant = variant_of(env_id)
    if variant.clock:
        known = ", ".join(row.id for row in VARIANTS.values() if not row.clock)
        raise ValueError(f"env_id must be one of {known}, in which agents can be trained; got {env_id!r}")
    return variant

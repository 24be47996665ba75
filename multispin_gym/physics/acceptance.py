"""How many tokens a verified draft yields: in expectation, and sampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray, check_array

# A power of two, so that multiplying and dividing by it is exact; so small that expm1 of its multiples is linear.
_TINY = 2.0**-200


def expected_tokens(acceptance_rate: ArrayLike, draft_length: ArrayLike) -> FloatArray:
    """Expected tokens of one verified draft, the server's own token included.

    Computes ``N = (1 - alpha**(L + 1)) / (1 - alpha)`` (Leviathan et al. 2023, eq. 1), to full precision up to
    the limit ``L + 1`` at ``alpha = 1``. Real draft lengths are allowed: the relaxation uses them.

    Parameters
    ----------
    acceptance_rate
        Probability alpha that a drafted token is accepted given that all before it were; in [0, 1].
    draft_length
        Draft length L in tokens, at least 0; broadcasts with the acceptance rate.

    Returns
    -------
    numpy.ndarray
        Expected tokens, of the broadcast shape; between 1 and L + 1.

    Raises
    ------
    ValueError
        If an acceptance rate lies outside [0, 1], a length is negative, or either is NaN or infinite.

    Examples
    --------
    >>> float(expected_tokens(0.5, 2))
    1.75
    >>> float(expected_tokens(1.0, 4))
    5.0
    """
    alpha = check_array("acceptance_rate", acceptance_rate, low=0.0, high=1.0)
    length = check_array("draft_length", draft_length, low=0.0)
    return mean_tokens(alpha, length)


def token_terms(alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``ln alpha`` and ``alpha - 1``, which the tokens of every draft length share.

    At ``alpha = 1`` both are replaced by the same tiny number, so that their ratio takes its limit.
    """
    certain = alpha == 1.0
    with np.errstate(divide="ignore"):
        return np.where(certain, -_TINY, np.log(alpha)), np.where(certain, -_TINY, alpha - 1.0)


def mean_tokens(
    alpha: FloatArray, length: FloatArray, terms: tuple[FloatArray, FloatArray] | None = None
) -> FloatArray:
    """Compute :func:`expected_tokens` without its checks."""
    logarithm, difference = token_terms(alpha) if terms is None else terms
    return np.asarray(tokens_of(length, logarithm, difference))


def tokens_of(length: FloatArray, logarithm: FloatArray, difference: FloatArray) -> FloatArray:
    """Expected tokens from the :func:`token_terms`, element by element."""
    return np.expm1((length + 1.0) * logarithm) / difference


def sampled_tokens(
    alpha: FloatArray,
    length: FloatArray,
    uniforms: FloatArray,
    terms: tuple[FloatArray, FloatArray] | None = None,
) -> FloatArray:
    """Tokens of one verified draft, sampled by inverting the geometric law cut at L.

    The first i drafts are all accepted exactly when ``U < alpha**i``, so one uniform per user and round
    serves whatever draft length is chosen: policies are compared on common acceptance draws.
    """
    logarithm, _ = token_terms(alpha) if terms is None else terms
    with np.errstate(divide="ignore", invalid="ignore"):
        accepted = np.ceil(np.log(uniforms) / logarithm) - 1.0
    return np.asarray(np.minimum(np.fmax(accepted, 0.0), length) + 1.0)


def token_table(survival: FloatArray) -> FloatArray:
    """Expected tokens of whole draft lengths 0, 1, ..., S of users with acceptance curves of S entries.

    Shapes: curves (..., K, S), table (..., K, S + 1).
    """
    ones = np.ones((*survival.shape[:-1], 1))
    return np.cumsum(np.concatenate([ones, survival], axis=-1), axis=-1)


def tabled_tokens(table: FloatArray, length: FloatArray) -> FloatArray:
    """Look expected tokens up: of lengths that are not whole those of the whole length below, cut to the table.

    Shapes: table (..., K, S + 1) and lengths (..., K), whose axes broadcast; tokens of the lengths' common shape.
    """
    shape = np.broadcast_shapes(table.shape[:-1], length.shape)
    index = np.broadcast_to(np.clip(length, 0.0, table.shape[-1] - 1.0).astype(np.int64), shape)
    if table.shape[:-1] != shape:
        table = np.broadcast_to(table, (*shape, table.shape[-1]))
    return np.asarray(np.take_along_axis(table, index[..., None], axis=-1)[..., 0])


def tabled_samples(survival: FloatArray, length: FloatArray, uniforms: FloatArray) -> FloatArray:
    """Do :func:`sampled_tokens` for curves: the first i drafts are all accepted exactly when ``U < survival_i``.

    Shapes: curves (..., K, S), lengths and uniforms (..., K).
    """
    accepted = (uniforms[..., None] < survival).sum(axis=-1)
    return np.asarray(np.minimum(accepted, length) + 1.0)

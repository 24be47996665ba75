"""The paper's closed form of the best common draft length (Theorem 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray, check_array
from multispin_gym.baselines.tk_slt import tk_slt_length


def best_common_length(
    acceptance_rate: ArrayLike, seconds_per_token: ArrayLike, verification_time: ArrayLike
) -> FloatArray:
    """Real draft length that is best where all users have one acceptance rate and one length (paper, Theorem 1).

    All finish together, so a round of length L takes ``L theta + T_ver`` and every user gains the same tokens: what is
    maximised is the goodput of one user who is alone at the server. The paper's

        L = -ln(-W_-1(-alpha**(T_ver / theta - 1) / e)) / ln alpha - 1

    becomes the rule of a single user (:func:`multispin_gym.baselines.tk_slt.tk_slt_length`, arXiv 2509.04576),
    ``[1 + W_-1(...)] / ln alpha - T_ver / theta`` with the same argument, once the logarithm of ``W exp(W)`` is taken;
    that one is solved in a form that neither under- nor overflows. The paper's condition for a length above 0,
    ``T_ver / theta > (1 - alpha) / (alpha |ln alpha|)``, says that the goodput grows at length 0. It is unimodal in the
    length, so the best whole one is a neighbour of this one, clipped to what a cell allows.

    Parameters
    ----------
    acceptance_rate
        The common acceptance rate, in [0, 1].
    seconds_per_token
        Seconds theta in which everybody drafts and uploads a token on the common split, ``T_S,k + Q / (B_k r_k)``.
    verification_time
        Seconds T_ver of the server's batch, which must not depend on the lengths. The three broadcast.

    Returns
    -------
    numpy.ndarray
        Lengths of the broadcast shape: 0 where a draft never pays, infinite at an acceptance rate of 1 where it does.

    Raises
    ------
    ValueError
        If an acceptance rate lies outside [0, 1], or a time is not positive.

    Examples
    --------
    >>> best_common_length(0.8, 0.05, [0.04, 0.1, 0.4]).round(4)
    array([0.    , 1.6944, 5.1344])
    """
    alpha = check_array("acceptance_rate", acceptance_rate, low=0.0, high=1.0)
    theta = check_array("seconds_per_token", seconds_per_token, low=0.0, low_open=True)
    server = check_array("verification_time", verification_time, low=0.0, low_open=True)
    return np.asarray(tk_slt_length(alpha, theta, np.zeros(()), server))

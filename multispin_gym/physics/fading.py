"""Small-scale fading: the law of the channel's power gain from round to round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multispin_gym._validation import FloatArray, check_choice, check_number

FADINGS = ("rayleigh", "none")
# Rayleigh power falls below -50 dB once in 100,000 draws and above 12 dB once in 7 million; gains are clipped there.
_BOUNDS_DB = {"rayleigh": (-50.0, 12.0), "none": (0.0, 0.0)}


@dataclass(frozen=True)
class Fading:
    """Small-scale fading of every user's channel, independent between users, of mean power 1.

    Parameters
    ----------
    model
        ``"rayleigh"``: circular complex Gaussian amplitudes, hence exponential power gains; ``"none"``: a
        power gain of 1 in every round.
    correlation
        Correlation rho of a user's complex amplitude between consecutive rounds, in [0, 1]: first-order
        Gauss-Markov, ``h' = rho h + sqrt(1 - rho**2) w``. 0 draws every round afresh, 1 keeps one draw for an
        episode. Must be 0 without fading.

    Raises
    ------
    ValueError
        If the model is unknown, the correlation lies outside [0, 1], or is given without fading.
    TypeError
        If the correlation is not a number.

    Examples
    --------
    >>> import numpy as np
    >>> Fading("rayleigh").sample(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """

    model: Literal["rayleigh", "none"] = "rayleigh"
    correlation: float = 0.0

    def __post_init__(self) -> None:
        check_choice("fading.model", self.model, FADINGS)
        rho = check_number("fading.correlation", self.correlation, low=0.0, high=1.0)
        if self.model == "none" and rho != 0.0:
            raise ValueError(f"fading.correlation must be 0 where fading.model is 'none', got {rho!r}")
        object.__setattr__(self, "correlation", rho)

    @property
    def bounds_db(self) -> tuple[float, float]:
        """Least and largest power gain that is told apart, dB."""
        return _BOUNDS_DB[self.model]

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Draw power gains of one round from the stationary law.

        Parameters
        ----------
        rng
            The source of randomness; not touched without fading.
        shape
            Shape of the draw.

        Returns
        -------
        numpy.ndarray
            Linear power gains of mean 1, of the given shape.
        """
        return np.ones(shape) if self.model == "none" else rng.standard_exponential(shape)

    def amplitudes(self, num_rows: int, num_users: int) -> FloatArray:
        """Memory of the process between blocks, for :meth:`fill`.

        Parameters
        ----------
        num_rows
            Number of cells.
        num_users
            Users in each cell.

        Returns
        -------
        numpy.ndarray
            Real and imaginary parts of the last amplitudes. Shape (num_rows, 2, num_users); no rows where the
            process needs no memory.
        """
        return np.zeros((num_rows if self.correlation > 0.0 else 0, 2, num_users))

    def fill(
        self,
        generators: Sequence[np.random.Generator],
        powers: FloatArray,
        amplitudes: FloatArray,
        fresh: bool | np.bool_,
    ) -> None:
        """Draw a block of consecutive rounds for many cells, each from its own generator.

        A cell's draws depend on its generator and on the number of rounds alone, not on the cells beside it.

        Parameters
        ----------
        generators
            One generator per cell; not touched without fading.
        powers
            Receives the power gains. Shape (cells, rounds, users), C-contiguous.
        amplitudes
            The amplitudes of the round before, replaced by those of the last round; see :meth:`amplitudes`.
        fresh
            Whether the block begins an episode: its first round is drawn from the stationary law.
        """
        if self.model == "none":
            powers.fill(1.0)
        elif self.correlation == 0.0:
            for generator, row in zip(generators, powers, strict=True):
                generator.standard_exponential(out=row)
        else:
            self._fill_correlated(generators, powers, amplitudes, fresh)

    def _fill_correlated(
        self,
        generators: Sequence[np.random.Generator],
        powers: FloatArray,
        amplitudes: FloatArray,
        fresh: bool | np.bool_,
    ) -> None:
        rows, rounds, num_users = powers.shape
        noise = np.empty((rows, rounds, 2, num_users))
        for generator, row in zip(generators, noise, strict=True):
            generator.standard_normal(out=row)
        # Half the variance in each quadrature makes the power's mean 1.
        noise *= math.sqrt(0.5)
        rho, fresh_share = self.correlation, math.sqrt(1.0 - self.correlation**2)
        for index in range(rounds):
            if fresh and index == 0:
                amplitudes[...] = noise[:, 0]
            else:
                amplitudes *= rho
                amplitudes += fresh_share * noise[:, index]
            np.sum(amplitudes**2, axis=1, out=powers[:, index])

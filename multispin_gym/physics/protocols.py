"""What one drafted token costs on the uplink, by protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from multispin_gym._validation import LARGEST_VOCABULARY, check_choice, check_integer, nearest, shown_name

FLOAT16_BITS = 16


def token_id(vocabulary_size: int) -> float:
    """Bits of a token's index: only the drafted token itself is sent.

    Parameters
    ----------
    vocabulary_size
        Number of tokens V of the vocabulary; at least 2.

    Returns
    -------
    float
        ``ceil(log2 V)``, bit per drafted token.

    Examples
    --------
    >>> token_id(32_000)
    15.0
    """
    size = check_integer("vocabulary_size", vocabulary_size, low=2, high=LARGEST_VOCABULARY)
    return float((size - 1).bit_length())


def dssd(vocabulary_size: int) -> float:
    """Bits of a token's index and its own FP16 probability (DSSD, arXiv 2507.12000).

    The distribution that a rejection needs goes down, not up, and is not part of the uplink payload.

    Parameters
    ----------
    vocabulary_size
        Number of tokens V of the vocabulary; at least 2.

    Returns
    -------
    float
        ``ceil(log2 V) + 16``, bit per drafted token.

    Examples
    --------
    >>> dssd(32_000)
    31.0
    """
    return token_id(vocabulary_size) + FLOAT16_BITS


def top_k(vocabulary_size: int, k: int) -> float:
    """Bits of the k largest FP16 probabilities and their indices (TK-SLT, arXiv 2509.04576).

    Parameters
    ----------
    vocabulary_size
        Number of tokens V of the vocabulary; at least 2.
    k
        Number of probabilities sent; in [1, V].

    Returns
    -------
    float
        ``k (16 + ceil(log2 V))``, bit per drafted token.

    Examples
    --------
    >>> top_k(32_000, k=64)
    1984.0
    """
    index = token_id(vocabulary_size)
    return check_integer("k", k, low=1, high=vocabulary_size) * (FLOAT16_BITS + index)


def effective_vocabulary(size: int = 1024) -> float:
    """Bits of the FP16 probabilities of a reduced vocabulary known to both ends (note on arXiv 2608.29618).

    Parameters
    ----------
    size
        Number of tokens kept; at least 1.

    Returns
    -------
    float
        ``16 size``, bit per drafted token.

    Examples
    --------
    >>> effective_vocabulary()
    16384.0
    """
    return float(FLOAT16_BITS * check_integer("size", size, low=1, high=LARGEST_VOCABULARY))


def full_distribution(vocabulary_size: int) -> float:
    """Bits of the FP16 probabilities of the whole vocabulary.

    Parameters
    ----------
    vocabulary_size
        Number of tokens V of the vocabulary; at least 2.

    Returns
    -------
    float
        ``16 V``, bit per drafted token.

    Examples
    --------
    >>> full_distribution(32_000)
    512000.0
    """
    return FLOAT16_BITS * float(check_integer("vocabulary_size", vocabulary_size, low=2, high=LARGEST_VOCABULARY))


# Protocol name -> (function, required arguments, optional arguments).
PROTOCOLS: dict[str, tuple[Callable[..., float], tuple[str, ...], tuple[str, ...]]] = {
    "token_id": (token_id, ("vocabulary_size",), ()),
    "dssd": (dssd, ("vocabulary_size",), ()),
    "top_k": (top_k, ("vocabulary_size", "k"), ()),
    "effective_vocabulary": (effective_vocabulary, (), ("size",)),
    "full_distribution": (full_distribution, ("vocabulary_size",), ()),
}


def payload_bits(protocol: str, **arguments: Any) -> float:
    """Payload of a protocol by its name (model, section 7).

    Parameters
    ----------
    protocol
        One of ``token_id``, ``dssd``, ``top_k``, ``effective_vocabulary``, ``full_distribution``.
    **arguments
        The arguments of the function of that name.

    Returns
    -------
    float
        Bit per drafted token.

    Raises
    ------
    ValueError
        If the protocol is unknown, an argument is unknown or missing, or a value is out of range.
    TypeError
        If an argument is not a whole number.

    Examples
    --------
    >>> payload_bits("top_k", vocabulary_size=32_000, k=64)
    1984.0
    """
    check_choice("protocol", protocol, PROTOCOLS)
    function, required, optional = PROTOCOLS[protocol]
    known = (*required, *optional)
    for name in arguments:
        if name not in known:
            takes = ", ".join(known)
            raise ValueError(
                f"{shown_name(name)} is not a key of protocol {protocol!r}, which takes {takes}.{nearest(name, known)}"
            )
    for name in required:
        if name not in arguments:
            raise ValueError(f"{name} is missing: protocol {protocol!r} needs it")
    return function(**arguments)


def payload_of(value: Any) -> Any:
    """Turn a table with a ``protocol`` and its arguments into bits per drafted token; anything else stays as it is.

    Parameters
    ----------
    value
        The table, or bits already.

    Returns
    -------
    Any
        Bits per drafted token, or what was given.

    Raises
    ------
    ValueError
        If the table lacks a protocol, or holds an argument that is out of range.
    TypeError
        If it holds an argument that the protocol does not take.
    """
    if not isinstance(value, Mapping):
        return value
    if "protocol" not in value:
        raise ValueError("payload.protocol is missing")
    try:
        return payload_bits(**value)
    except (ValueError, TypeError) as error:
        raise type(error)(f"payload.{error}") from error

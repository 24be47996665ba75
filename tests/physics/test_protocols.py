from typing import Any

import pytest

from multispin_gym import AffineVerification, Cell
from multispin_gym.physics.protocols import (
    dssd,
    effective_vocabulary,
    full_distribution,
    payload_bits,
    token_id,
    top_k,
)


@pytest.mark.parametrize(
    ("vocabulary_size", "bits"), [(2, 1), (32_000, 15), (32_768, 15), (32_769, 16), (248_320, 18), (2**18, 18)]
)
def test_a_token_id_takes_the_bits_that_number_the_vocabulary(vocabulary_size: int, bits: int) -> None:
    assert token_id(vocabulary_size) == bits


def test_protocols_cost_the_bits_worked_out_by_hand() -> None:
    assert dssd(32_000) == 15 + 16
    assert top_k(32_000, 64) == 64 * 31
    assert top_k(248_320, 100) == 100 * 34
    assert effective_vocabulary() == 16_384
    assert effective_vocabulary(2048) == 32_768
    assert full_distribution(32_000) == 512_000


def test_protocols_are_found_by_name() -> None:
    assert payload_bits("token_id", vocabulary_size=32_000) == 15
    assert payload_bits("dssd", vocabulary_size=248_320) == 34
    assert payload_bits("top_k", vocabulary_size=32_000, k=8) == 248
    assert payload_bits("effective_vocabulary") == 16_384
    assert payload_bits("effective_vocabulary", size=512) == 8_192
    assert payload_bits("full_distribution", vocabulary_size=32_000) == 512_000


@pytest.mark.parametrize(
    ("protocol", "arguments", "error", "message"),
    [
        ("tokenid", {}, ValueError, "Did you mean 'token_id'"),
        ("top_k", {"vocabulary_size": 32_000}, ValueError, "k is missing"),
        ("token_id", {"vocabulary_sise": 32_000}, ValueError, "Did you mean 'vocabulary_size'"),
        (
            "token_id",
            {"vocabulary_size": 1},
            ValueError,
            r"_size must be a whole number in \[2, 1e\+09\], got 1",
        ),
        ("token_id", {"vocabulary_size": "many"}, TypeError, "vocabulary_size must be"),
        ("token_id", {"vocabulary_size": 32_000.5}, ValueError, "vocabulary_size must be a whole number"),
        ("top_k", {"vocabulary_size": 32_000, "k": 0}, ValueError, r"k must be a whole number in \[1, 32000\], got 0"),
        ("top_k", {"vocabulary_size": 32_000, "k": 32_001}, ValueError, r"k must be a whole number in \[1, 32000\]"),
        ("effective_vocabulary", {"size": 0}, ValueError, r"size must be a whole number in \[1, 1e\+09\]"),
    ],
)
def test_a_wrong_payload_is_refused(
    protocol: str, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        payload_bits(protocol, **arguments)


def test_a_cell_takes_the_payload_of_a_protocol_as_a_scenario_file_does() -> None:
    def cell(payload: Any) -> Cell:
        return Cell(10e6, 4e-21, payload, AffineVerification(0.06))

    # 64 (16 + 15) bits, worked out by hand.
    assert cell({"protocol": "top_k", "vocabulary_size": 32000, "k": 64}).payload == 1984.0
    with pytest.raises(ValueError, match=r"^payload\.protocol must be one of .* Did you mean 'top_k'"):
        cell({"protocol": "topk", "vocabulary_size": 32000, "k": 64})
    with pytest.raises(ValueError, match=r"^payload\.protocol is missing"):
        cell({"vocabulary_size": 32000})

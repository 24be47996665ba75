"""Files that others wrote: read up to a bound, and refused in one line for whatever is wrong with their bytes."""

import pytest

from multispin_gym._reading import parse_json, read_bytes, read_json, read_text
from multispin_gym._validation import LONGEST_LINE, LONGEST_SHOWN, one_line, shown_path


def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bytes(file, 5) == b"12345"
    with pytest.raises(ValueError, match="it must have at most 4 bytes, got 5"):
        read_bytes(file, 4)


def test_a_terabyte_of_nothing_is_refused_unread(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=f"it must have at most 1000 bytes, got {2**40}"):
        read_json(tmp_path / "sparse", 1000)


def test_text_is_utf8_with_or_without_a_mark(tmp_path):
    file = tmp_path / "file"
    file.write_bytes("\ufeffé".encode())
    assert read_text(file, 10) == "é"
    file.write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match="it must be UTF-8 text, got the byte 0xff at 2"):
        read_text(file, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ("[1,", "it is not valid JSON: .*line 1"),
        ("1" * 10_000, "it is not valid JSON: .*limit"),
    ],
)
def test_what_is_not_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_what_an_error_says_stands_on_one_line_that_prints():
    assert one_line(ValueError("two\n  lines, \x1b[31mred\u202e")) == "two lines, \\x1b[31mred\\u202e"
    long = one_line("x" * 5000 + "end")
    assert len(long) <= LONGEST_LINE
    assert long.endswith("end")
    assert shown_path("a/plain name.toml") == "a/plain name.toml"
    assert shown_path("a\x1b.toml") == "'a\\x1b.toml'"
    assert len(shown_path("y" * 5000)) <= LONGEST_SHOWN

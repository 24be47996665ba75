"""Files that are whole or not there: what one writer leaves, and what another may not take for a leftover."""

import tempfile

from multispin_gym._files import write_atomically


def test_a_writer_whose_new_file_another_takes_for_a_leftover_takes_another_one(tmp_path, monkeypatch):
    make, made = tempfile.mkstemp, []

    def make_and_be_overtaken(**options):
        handle, path = make(**options)
        made.append(path)
        if len(made) == 1:
            write_atomically(tmp_path, {"a.json": b"theirs"})
        return handle, path

    monkeypatch.setattr(tempfile, "mkstemp", make_and_be_overtaken)
    write_atomically(tmp_path, {"a.json": b"ours"})
    assert len(made) == 3
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"ours"}

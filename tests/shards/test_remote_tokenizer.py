"""Workers of a remote stage read its tokeniser before it is recorded, and leave nothing behind."""

import tempfile

import fsspec

from retort.shards.vectors import _open_tokenizer
from retort.sparse.tokens import build_word_tokenizer
from retort.storage import Workspace


def test_reading_a_remote_tokenizer_leaves_no_folder(tmp_path, monkeypatch):
    build_word_tokenizer(["where is the river"], vocabulary_size=100, directory=tmp_path / "made")
    folder = Workspace(f"memory://{tmp_path.name}", create=True).folder("vectors/lexical-tiny-0a1b2c3d")
    for path in (tmp_path / "made").iterdir():
        folder.write_bytes(f"tokenizer/{path.name}", path.read_bytes())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    tokenizer = _open_tokenizer(folder)

    assert list((tmp_path / "temporary").iterdir()) == []
    assert [tokenizer.token(index) for index in tokenizer.pieces(["the river"])[0]] == ["the", "river"]
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)

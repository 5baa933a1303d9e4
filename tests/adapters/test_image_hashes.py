import json
from pathlib import Path

import pytest

from datalab.adapters.image_hashes import MADE_OF, ImageHashes, made_of


@pytest.mark.parametrize("content", ["null", "[1]", '{"a.png": 3}', '{"a.png": [1]}', "{", ""])
def test_a_note_of_something_else_is_made_anew(tmp_path: Path, content: str) -> None:
    images, cache = tmp_path / "images", tmp_path / "cache"
    images.mkdir()
    (images / "a.png").write_bytes(b"pixels")
    first = ImageHashes(images, cache)
    digest = first.of("a.png")
    first.keep()
    whole = first.note.read_text()
    first.note.write_text(content)
    again = ImageHashes(images, cache)
    assert again.of("a.png") == digest
    again.keep()
    assert first.note.read_text() == whole


def test_a_file_is_read_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    hashes, content = ImageHashes(tmp_path, tmp_path / "cache"), iter("01")
    monkeypatch.setattr("datalab.adapters.image_hashes.image_hash", lambda _: next(content))
    assert [hashes.of("a.png"), hashes.of("a.png")] == ["0", "0"]
    (tmp_path / "a.png").write_bytes(b"other pixels")
    assert hashes.of("a.png") == "1"


def test_a_note_that_is_none_says_of_no_embedding_what_it_was_made_of(tmp_path: Path) -> None:
    assert made_of(tmp_path) == {}
    (tmp_path / MADE_OF).write_text("[]")
    assert made_of(tmp_path) == {}
    (tmp_path / MADE_OF).write_text(json.dumps({"a": "0f"}))
    assert made_of(tmp_path) == {"a": "0f"}

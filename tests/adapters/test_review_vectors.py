from pathlib import Path

from datalab.adapters.embedding_cache import note_encoder
from datalab.adapters.review_vectors import ImageVectors


def test_the_digest_is_of_the_images_their_sam_and_what_else_is_given(tmp_path: Path) -> None:
    note_encoder(tmp_path, "sam-a")
    both = ImageVectors(tmp_path, [{"image_id": "a"}, {"image_id": "b"}])
    first = both.digest()
    assert both.digest() == first
    assert len({first, both.digest([0]), ImageVectors(tmp_path, both.rows[:1]).digest()}) == 3
    note_encoder(tmp_path, "sam-b")
    assert both.digest() != first

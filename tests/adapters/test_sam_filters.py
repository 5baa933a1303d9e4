"""What SAM finds and nobody should see, and packaged weights that are not there."""

from pathlib import Path

import pytest

from datalab.adapters import sam
from datalab.adapters.mask_generator import FoundMask
from datalab.errors import InputError

SHAPE = (100, 200)
PARAMS = sam.ProposalParams("small", 8, 0, 0.5, 0.5, 0.01, 0.6, 5, 0.0)


@pytest.mark.parametrize(
    ("area", "box", "kept"),
    [
        (2000, [10, 10, 50, 40], True),
        (199, [10, 10, 50, 40], False),  # less than 1%
        (12001, [0, 0, 150, 99], False),  # more than 60%
        (8000, [0, 0, 199, 40], True),  # from left to right only, like a road
        (8000, [0, 0, 199, 99], False),  # round everything, like a frame
    ],
)
def test_background_and_crumbs_are_dropped(area: int, box: list[int], kept: bool) -> None:
    corners = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    assert sam._is_like_an_object(FoundMask("", corners, area, 0.9, 0.9), SHAPE, PARAMS) is kept


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_missing_or_damaged_weights_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "small_sam.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="missing or damaged; install datalab again") as caught:
        sam._load_small(path)
    assert "\n" not in str(caught.value)

from pathlib import Path

import numpy as np
import pytest
from proposals import objects_of

from datalab.adapters.files import write_label_map


@pytest.mark.parametrize(("name", "count"), [("camvid", 2), ("magnetic_tile", 3), ("bsds500", 4)])
def test_what_is_no_class_is_no_object(tmp_path: Path, name: str, count: int) -> None:
    values = np.repeat(np.array([[0, 3, 11, 255]], dtype=np.uint8), 10, axis=0).repeat(10, axis=1)
    write_label_map(tmp_path / "a.png", values)
    assert len(objects_of(name, tmp_path / "a.png")) == count

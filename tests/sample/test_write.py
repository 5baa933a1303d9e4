"""The sample folder, and what ingestion makes of it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datalab.adapters.files import read_rgb, read_table
from datalab.adapters.images import IngestParams, ingest
from datalab.adapters.mask_folder import read_classes, read_truth
from datalab.config import load_guidelines, load_params
from datalab.errors import InputError
from datalab.sample.compose import compose
from datalab.sample.write import CLASSES, FEWEST, TURNED, write_sample
from datalab.tables import CATALOG, REJECTED
from datalab.workspace import Workspace

ROOT = Path(__file__).parents[2]
SEED = 4


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "made"
    write_sample(out, FEWEST, SEED)
    return out


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 120"):
        write_sample(tmp_path / "a", 119, 1)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty"):
        write_sample(tmp_path, 120, 1)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_place_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(InputError, match=r"/proc/foo cannot be written: No such file"):
        write_sample(Path("/proc/foo"), 120, 1)
    with pytest.raises(InputError, match=r"x cannot be written: File name too long"):
        write_sample(Path("x" * 300), 120, 1)


def test_the_folder_that_one_is_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the folder that you are in; name another"):
        write_sample(Path(), FEWEST, SEED)


@pytest.mark.slow
def test_guidelines_are_those_of_the_sample(sample: Path) -> None:
    guidelines = load_guidelines(ROOT / "guidelines")
    assert guidelines.classes == read_classes(sample / "masks")
    assert {f"{name}.md" for name, _, _ in CLASSES} | {"README.md"} == {name for name, _ in guidelines.pages}


@pytest.mark.slow
def test_masks_fit_their_images(sample: Path) -> None:
    masks = sorted((sample / "masks").rglob("*.png"))
    assert len(masks) == FEWEST + 2
    for number in (1, 8, TURNED):
        with Image.open(sample / "masks" / f"{number:04d}.png") as mask:
            assert (np.asarray(mask) == compose(np.random.default_rng([SEED, number])).label_map).all()


@pytest.mark.slow
def test_same_seed_same_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again", FEWEST, SEED)
    assert digests(tmp_path / "again") == digests(sample)


@pytest.mark.slow
def test_ingestion_finds_what_was_hidden(sample: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    report = ingest(sample / "images", workspace, load_params(ROOT / "params.yaml", "ingest", IngestParams))
    assert (report.added, report.exact_duplicates, report.near_duplicates, report.quarantined) == (FEWEST + 2, 2, 2, 2)
    rejected = read_table(workspace.rejected, REJECTED)
    assert list(rejected["source"]) == [
        "broken/cut off.jpg", "broken/notes.jpg", "copies/0003 (1).jpg", "copies/0017 (1).jpg",
    ]  # fmt: skip
    catalog = read_table(workspace.catalog, CATALOG)
    truth = read_truth(sample / "masks", catalog, read_classes(sample / "masks"))
    assert set(truth["image_id"]) == set(catalog["image_id"])
    upright = catalog[catalog["source"] == f"{TURNED:04d}.jpg"].iloc[0]
    pixels = compose(np.random.default_rng([SEED, TURNED])).pixels.astype(int)
    assert np.abs(read_rgb(workspace.images / str(upright["file"])) - pixels).mean() < 12

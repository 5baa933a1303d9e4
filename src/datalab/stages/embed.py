"""Stage `embed`: SAM's embedding of every image of the catalog, only for those that have none yet."""

import argparse
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from datalab.adapters.files import read_json, read_rgb, read_table, write_bytes, write_json
from datalab.adapters.sam import embed_image, load_sam, model_version
from datalab.config import load_params
from datalab.errors import one_line_errors
from datalab.tables import CATALOG


@dataclass(frozen=True)
class Params:
    """Section `embed` of params.yaml."""

    checkpoint: str
    """The same as in `proposals`: "small" or the path of an official .pth file."""


def run(catalog: Path, images: Path, out: Path, params: Params) -> None:
    """Write <image_id>.npy, float16 (C, h, w), below `out`; what is of another checkpoint or image is made anew."""
    version = model_version(params.checkpoint)
    files = read_table(catalog, CATALOG).set_index("image_id")["file"]
    index = out / "index.json"
    if not index.exists() or read_json(index) != {"model_version": version}:
        for old in out.glob("*.npy"):
            old.unlink()
        write_json(index, {"model_version": version})
    for old in out.glob("*.npy"):
        if old.stem not in files.index:
            old.unlink()
    missing = [image_id for image_id in files.index if not (out / f"{image_id}.npy").exists()]
    if missing:
        sam = load_sam(params.checkpoint)
        for image_id in tqdm(missing, "embed", unit="image", disable=None):
            write_bytes(out / f"{image_id}.npy", _npy(embed_image(sam, read_rgb(images / files[image_id]))))


def _npy(embedding: npt.NDArray[np.float16]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, embedding, allow_pickle=False)
    return buffer.getvalue()


def main() -> None:
    """Paths come from dvc.yaml."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("catalog", "images", "out", "params"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    paths = parser.parse_args()
    run(paths.catalog, paths.images, paths.out, load_params(paths.params, "embed", Params))


if __name__ == "__main__":
    with one_line_errors():
        main()

"""A folder of embeddings as `embed` leaves it for whoever reads vectors: no embedding can be read any more."""

from pathlib import Path

from datalab.adapters.files import read_table
from datalab.adapters.image_vectors import compute_image_vector, keep_vectors
from datalab.tables import CATALOG


def keep_all_vectors(catalog: Path, embeddings: Path) -> None:
    """Those of all images of the catalog; the embeddings become unreadable, so that a test tells who opens them."""
    rows = read_table(catalog, CATALOG).to_dict("records")
    keep_vectors(embeddings, {row["image_id"]: compute_image_vector(row, embeddings) for row in rows})
    for path in embeddings.glob("*.npy"):
        path.write_bytes(b"not to be read")

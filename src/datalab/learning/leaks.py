"""Images of one split that look like images of another: by heart a model knows what it is judged on."""

import numpy as np
import numpy.typing as npt
import pandas as pd

LEAKS = ("image_id", "split", "other_id", "other_split", "similarity")
AGAINST = {"validation": ("train",), "test": ("train", "validation")}
"""What no image of a split may look like: by validation images it is decided when training stops."""
BLOCK = 2048


def find_leaks(index: pd.DataFrame, vectors: npt.NDArray[np.floating], least: float) -> pd.DataFrame:
    """Table LEAKS: for images of "test" and "validation" the most similar one of AGAINST, the most similar first.

    Args:
        index: `image_id` and `split`, a row for each of N images.
        vectors: (N, D), what they look like.
        least: Pairs below this similarity are left out. It is the cosine of the vectors less their mean over all N, in
            [-1, 1]: photographs of one street point the same way until what they share is taken out.
    """
    splits, names = index["split"].to_numpy(), index["image_id"].to_numpy()
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    tables = []
    for split, against in AGAINST.items():
        judged, known = np.flatnonzero(splits == split), np.flatnonzero(np.isin(splits, against))
        if not len(judged) or not len(known):
            continue
        places, similarity = _most_similar(unit[judged], unit[known])
        others = known[places]
        columns = [names[judged], splits[judged], names[others], splits[others], similarity.round(6)]
        tables.append(pd.DataFrame(dict(zip(LEAKS, columns, strict=True))))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(LEAKS))
    alike = table[table["similarity"] >= least]
    return alike.sort_values(["similarity", "image_id"], ascending=[False, True], kind="stable", ignore_index=True)


def _most_similar(
    asked: npt.NDArray[np.floating], known: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Of each row the place of the most similar known one, and how similar; both (n,)."""
    places, values = np.empty(len(asked), dtype=np.intp), np.empty(len(asked))
    for start in range(0, len(asked), BLOCK):
        part = slice(start, start + BLOCK)
        product = asked[part] @ known.T
        places[part] = product.argmax(axis=1)
        values[part] = product.max(axis=1)
    return places, values

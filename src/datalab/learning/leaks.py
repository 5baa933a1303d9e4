"""Images of one split that look like images of another: by heart a model knows what it is judged on."""

import numpy as np
import numpy.typing as npt
import pandas as pd

LEAKS = ("image_id", "split", "other_id", "other_split", "similarity")
BLOCK = 2048


def find_leaks(index: pd.DataFrame, vectors: npt.NDArray[np.floating], least: float) -> pd.DataFrame:
    """Table LEAKS: for each image of "test" and "validation" the most similar one of "train", the most similar first.

    Args:
        index: `image_id` and `split`, a row for each of N images.
        vectors: (N, D), what they look like.
        least: Pairs below this similarity are left out. It is the cosine of the vectors less their mean over all N, in
            [-1, 1]: photographs of one street point the same way until what they share is taken out.
    """
    splits, names = index["split"].to_numpy(), index["image_id"].to_numpy()
    learned, judged = np.flatnonzero(splits == "train"), np.flatnonzero(splits != "train")
    if not len(learned) or not len(judged):
        return pd.DataFrame(columns=list(LEAKS))
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    places, similarity = _most_similar(unit[judged], unit[learned])
    others = learned[places]
    columns = [names[judged], splits[judged], names[others], splits[others], similarity.round(6)]
    table = pd.DataFrame(dict(zip(LEAKS, columns, strict=True)))
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

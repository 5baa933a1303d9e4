import numpy as np

from datalab.learning.prototypes import fit_prototypes, nearest_label


def test_the_nearest_examples_name_a_region() -> None:
    rng = np.random.default_rng(1)
    centres = {"coin": [1.0, 0, 0], "cup": [0, 1.0, 0], "": [0, 0, 1.0]}
    labels = [name for name, count in (("coin", 20), ("cup", 4), ("", 6)) for _ in range(count)]
    vectors = np.array([centres[name] + rng.normal(0, 0.05, 3) for name in labels], dtype=np.float32)
    asked = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0.1, 1.1]], dtype=np.float32)
    assert nearest_label(asked, fit_prototypes(vectors, labels)) == ["coin", "cup", ""]


def test_a_rare_class_is_not_outvoted_by_a_common_one_nearby() -> None:
    centres = {"coin": [1.0, 0.2, 0], "cup": [1.0, 0, 0.2], "": [-1.0, 0, 0]}
    labels = [name for name, count in (("coin", 16), ("cup", 2), ("", 18)) for _ in range(count)]
    vectors = np.array([centres[name] for name in labels], dtype=np.float32)
    asked = np.array([[1.0, 0, 0.2]], dtype=np.float32)
    assert nearest_label(asked, fit_prototypes(vectors, labels)) == ["cup"]


def test_what_all_regions_share_does_not_count() -> None:
    centres = {"coin": [1.0, 0, 0], "cup": [0, 1.0, 0], "": [0, 0, 1.0]}
    labels = ["coin", *["cup"] * 6, *[""] * 6]
    vectors = np.array([centres[name] for name in labels], dtype=np.float32)
    asked = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0.1, 1.1]], dtype=np.float32)
    shared = np.array([50, 0, 0], dtype=np.float32)
    assert nearest_label(asked + shared, fit_prototypes(vectors + shared, labels)) == ["coin", "cup", ""]

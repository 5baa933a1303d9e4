from datalab.quality.clusters import cluster_objects
from datalab.quality.rated import rated_images
from tests.quality.images import tables


def test_the_most_skilled_is_who_others_are_compared_with() -> None:
    """Bob's mask fits both others, which do not fit each other."""
    answers = {
        ("i", "ann"): [("coin", 0, 0, 4, 3)],
        ("i", "bob"): [("coin", 0, 0, 4, 5)],
        ("i", "cat"): [("coin", 0, 2, 4, 5)],
    }
    rated = rated_images(*tables(answers))["i"]
    (one,) = cluster_objects(rated, {"ann": 0.2, "bob": 0.9, "cat": 0.3}, 0.5)
    assert one.ballot == [("bob", "coin"), ("cat", "coin"), ("ann", "coin")]
    assert len(cluster_objects(rated, {"ann": 0.9, "bob": 0.2, "cat": 0.8}, 0.5)) == 2

from datalab.masks import mask_to_rle, rle_to_mask
from datalab.quality.clusters import Cluster, cluster_objects, join_touching
from datalab.quality.rated import rated_images
from tests.quality.images import HEIGHT, WIDTH, rle, tables


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


def test_masks_that_touch_are_joined_one_by_one_with_a_mask_per_person() -> None:
    left, middle, right = rle(0, 0, 4, 2), rle(0, 1, 4, 4), rle(0, 3, 4, 5)
    clusters = [Cluster([("ann", "coin", left)]), Cluster([("bob", "cup", middle)]), Cluster([("ann", "cup", right)])]
    apart = Cluster([("bob", "cup", rle(4, 6, 6, 8))])
    found = join_touching([*clusters, apart], {"ann": 0.2, "bob": 0.9}, HEIGHT, WIDTH)
    both = mask_to_rle(rle_to_mask(left, HEIGHT, WIDTH) | rle_to_mask(right, HEIGHT, WIDTH))
    assert [one.members for one in found] == [[("bob", "cup", middle), ("ann", "coin", both)], apart.members]
    assert all(one.touching for one in found)


def test_masks_side_by_side_do_not_touch() -> None:
    clusters = [Cluster([("ann", "coin", rle(0, 0, 4, 2))]), Cluster([("bob", "coin", rle(0, 2, 4, 4))])]
    assert len(join_touching(clusters, {"ann": 0.5, "bob": 0.5}, HEIGHT, WIDTH)) == 2
    assert join_touching([], {}, HEIGHT, WIDTH) == []

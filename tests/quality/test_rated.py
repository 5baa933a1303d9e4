import pytest

from datalab.errors import InputError
from datalab.quality.rated import pairs_of, rated_images
from tests.quality.images import Box, tables

COIN: Box = ("coin", 0, 0, 4, 4)


def test_images_of_two_and_their_pairs() -> None:
    ratings, regions = tables({("j", "cat"): [COIN], ("i", "bob"): [], ("i", "ann"): [COIN], ("j", "ann"): []})
    images = rated_images(ratings, regions)
    assert [(a.image_id, a.annotator, b.annotator) for a, b in pairs_of(images)] == [
        ("i", "ann", "bob"),
        ("j", "ann", "cat"),
    ]
    assert images["i"][0].has("coin")
    assert not images["i"][1].has("coin")
    assert images["i"][0].origins == ("manual",)


def test_a_missing_rating_is_not_background() -> None:
    answers: dict[tuple[str, str], list[Box]] = {("i", "ann"): [COIN], ("j", "bob"): []}
    assert rated_images(*tables(answers)) == {}
    assert [len(one) for one in rated_images(*tables(answers), at_least=1).values()] == [1, 1]


def test_two_ratings_by_one_person_are_refused() -> None:
    ratings, regions = tables({("i", "ann"): [COIN], ("i", "bob"): []})
    with pytest.raises(InputError, match="ann has two ratings on image i"):
        rated_images(ratings.assign(annotator="ann"), regions)


def test_two_sizes_of_one_image_are_refused() -> None:
    ratings, regions = tables({("i", "ann"): [COIN], ("i", "bob"): []})
    with pytest.raises(InputError, match="image i was labelled at sizes 8 x 6 and 9 x 6"):
        rated_images(ratings.assign(width=[8, 9]), regions)

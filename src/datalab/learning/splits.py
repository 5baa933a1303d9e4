"""Train, validation and test: whole groups of images, the classes spread evenly, and no image ever changes sides.

A pure hash of the image would be stable, but leaves a split empty by chance where there are only twenty images. So the
rounds are dealt one after the other: what a round gets depends on itself and on earlier rounds only, both frozen once
the round is closed. Within a round, groups are dealt rare class first (then by hash) to the split that lacks them most
(the idea of iterative stratification: Sechidis, Tsoumakas, Vlahavas 2011, "On the Stratification of Multi-Label Data");
before them come groups too large for validation or test, while training can still take them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from datalab.errors import InputError
from datalab.learning.look_alikes import Groups, join_named, join_near
from datalab.learning.traits import written_traits
from datalab.ranges import Seed, Share

SPLITS = ("train", "validation", "test")
BACKGROUND = ""
Dealt = Mapping[str, Counter[str]]
"""Split -> rarest class of a group -> images."""
Classes = tuple[str, ...]
"""Of a group, the rarest first; BACKGROUND alone where it shows none."""


class TooFewGroupsError(InputError):
    """Nothing is wrong with the labels, there are too few: another round may bring more."""


@dataclass(frozen=True)
class SplitParams:
    """How labelled images are dealt."""

    seed: Seed
    train: Share
    """Share of the images."""
    validation: Share
    """Share that decides when training stops."""
    test: Share
    """Share that the reported figures come from; never trained on, never used to choose."""
    group_by: str
    """Regular expression on the path an image came from; what matches alike goes to one split."""
    group_column: str
    """A column of metadata.csv, such as "patient"; images that say the same there go to one split. "": none."""

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of train, validation and test."""
        return self.train, self.validation, self.test


@dataclass(frozen=True)
class GroupRules:
    """What makes images hang together: two of SplitParams, and when images are near duplicates."""

    group_by: str
    group_column: str
    distance: int
    """Bits of the perceptual hashes in which near duplicates differ at most; below 0 none are."""


def assign_splits(
    images: pd.DataFrame, shares: Sequence[float], seed: int, distance: int, group_by: str = ""
) -> pd.DataFrame:
    """Which group and which split every image belongs to.

    Images belong together whose `phash` differs in at most `distance` bits (near duplicates), whose path has the same
    part (`names_of`), of which the same is `told`, or that hang together by others that have been labelled. Images
    nobody has labelled join nothing: what is taken in later must not move what has been dealt.

    Args:
        images: One row per labelled image, in any order, as `first_seen` gives them: `image_id`, `source` (its path),
            `phash` (16 hex digits), `round_id` (the first round it was labelled in; sorted to find the order of the
            rounds), `labels` (tuple of str, the classes seen in that round; empty for background only) and `told` (str,
            such as the patient; "" where nothing is known).
        shares: Wanted shares of the images of train, validation and test; positive, summing to 1.
        seed: Another seed deals another way.
        distance: In bits of 64; below 0 no images are near duplicates.
        group_by: Regular expression on `source`.

    Returns:
        One row per image: `image_id`, `group` (the first labelled image of its group), `split` ("train", "validation"
        or "test"). A group is dealt in the first round it appears in, by the labels its images had then. Images of
        later rounds change nothing of what was dealt before, except for one that joins groups of two splits: all of
        them go to the training side then, and out of the tests.

    Raises:
        InputError: a share is not positive, they do not sum to 1, or `group_by` is no regular expression.
        TooFewGroupsError: there are fewer than three groups, so that a split would be empty.
    """
    _check_shares(shares)
    table = images.sort_values(["round_id", "image_id"], ignore_index=True)
    ids = [str(image_id) for image_id in table["image_id"]]
    hashes, names = _looks(table, group_by)
    groups: Groups = np.arange(0)
    splits: dict[int, str] = {}
    classes: dict[int, Classes] = {}
    for _, rows in table.groupby("round_id", sort=True):
        end = int(rows.index[-1]) + 1
        groups = _together(hashes[:end], names[:end], distance, groups)
        splits = _carried(splits, groups)
        fresh = _labels_of_groups(groups[rows.index], list(rows["labels"]), splits)
        sizes = Counter(groups.tolist())
        order = _rare_first(fresh, {group: _digest(ids[group], seed) for group in fresh})
        _deal(_large_first(order, sizes, shares), sizes, shares, splits, classes)
    found = groups.tolist()
    _check_filled(splits, len(ids), len(set(found)))
    return pd.DataFrame(
        {"image_id": ids, "group": [ids[group] for group in found], "split": [splits[group] for group in found]}
    )


def deal_labelled(
    first_labels: pd.DataFrame, catalog: pd.DataFrame, metadata: pd.DataFrame, params: SplitParams, distance: int
) -> pd.DataFrame:
    """`assign_splits` of every image ever labelled, as `params` say."""
    seen = first_seen(first_labels, catalog, metadata, params.group_column)
    return assign_splits(seen, params.shares, params.seed, distance, params.group_by)


def groups_among(
    image_ids: Collection[str], catalog: pd.DataFrame, metadata: pd.DataFrame, rules: GroupRules
) -> dict[str, str]:
    """Which of these images hang together, by the rules of `assign_splits`: image_id to the first image of its group.

    No other image joins them. One that table CATALOG does not know is a group by itself. InputError where table
    METADATA has no such column, or `group_by` is no regular expression.
    """
    rows = catalog[catalog["image_id"].isin(set(image_ids))].sort_values("image_id", ignore_index=True)
    hashes, names = _looks(rows.assign(told=_told(rows["image_id"], metadata, rules.group_column)), rules.group_by)
    groups = _together(hashes, names, rules.distance, np.arange(0))
    ids = [str(image_id) for image_id in rows["image_id"]]
    first = {image_id: ids[group] for image_id, group in zip(ids, groups.tolist(), strict=True)}
    return {str(image_id): first.get(str(image_id), str(image_id)) for image_id in image_ids}


def first_seen(
    first_labels: pd.DataFrame, catalog: pd.DataFrame, metadata: pd.DataFrame, group_column: str
) -> pd.DataFrame:
    """What the splits are dealt by, of every image ever labelled.

    Its row of the catalog, `round_id`, `labels`, and as `told` what it says in this column of table METADATA.
    InputError where that has no such column.
    """
    rows = [
        (image_id, round_id, tuple(sorted(set(found["label"]) - {""})))
        for (image_id, round_id), found in first_labels.groupby(["image_id", "round_id"], sort=True)
    ]
    seen = catalog.merge(pd.DataFrame(rows, columns=["image_id", "round_id", "labels"]), on="image_id")
    return seen.assign(told=_told(seen["image_id"], metadata, group_column))


def _told(image_ids: "pd.Series[str]", metadata: pd.DataFrame, group_column: str) -> "pd.Series[str]":
    """What each image says in this column of table METADATA, "" where nothing."""
    if not group_column:
        return pd.Series("", index=image_ids.index)
    check_group_column(metadata, group_column)
    # 7 and 7.0 are one patient
    told = written_traits(metadata.set_index("image_id")[[group_column]])[group_column].dropna().astype("str")
    return image_ids.map(told).fillna("")


def check_group_column(metadata: pd.DataFrame, group_column: str) -> None:
    """InputError where table METADATA has no such column; "" asks for none."""
    columns = [str(name) for name in metadata.columns if name != "image_id"]
    if group_column and group_column not in columns:
        known = f"there are {', '.join(columns)}" if columns else "no image has one; ingest its folder again"
        raise InputError(
            f"dataset.group_column: no metadata.csv has a column {group_column!r} with anything in it ({known})"
        )


def names_of(sources: Sequence[str], group_by: str) -> list[str | None]:
    """Of each path what the first parenthesis of the regular expression holds, or all that it matches; None: no match.

    All None where `group_by` is "". InputError for no regular expression.
    """
    try:
        pattern = re.compile(group_by)
    except re.error as exc:
        raise InputError(f"dataset.group_by is no regular expression ({exc}): {group_by}") from exc
    found = [pattern.search(str(source)) if group_by else None for source in sources]
    return [None if one is None else one.group(1 if pattern.groups else 0) or None for one in found]


def _looks(images: pd.DataFrame, group_by: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """What images hang together by: (N,) hashes, and (N, 2) numbers of the names in their path and of what is told."""
    hashes = np.array([int(text, 16) for text in images["phash"]], dtype=np.uint64)
    return hashes, _numbered(names_of(list(images["source"]), group_by), [text or None for text in images["told"]])


def _numbered(*names: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """(N, kinds of names): equal numbers for equal names of a kind, -1 for None."""
    columns = [pd.factorize(pd.Series(list(column), dtype="object"))[0] for column in names]
    return np.stack(columns, axis=1).astype(np.int64)


def _together(hashes: npt.NDArray[np.uint64], names: npt.NDArray[np.int64], distance: int, known: Groups) -> Groups:
    """(N,): the groups of all images, by (N,) hashes and (N, kinds) names; `known`: those of the first images."""
    fresh = np.arange(len(known), len(hashes))
    groups = join_near(np.concatenate([known, fresh]), hashes, distance, since=len(known))
    for of_kind in names.T:
        groups = join_named(groups, of_kind)
    return groups


def _carried(splits: Mapping[int, str], groups: Groups) -> dict[int, str]:
    """The splits of groups after some have been joined: the one nearest to training of those that meet."""
    carried: dict[int, str] = {}
    for group, split in splits.items():
        joined = int(groups[group])
        carried[joined] = min(split, carried.get(joined, split), key=SPLITS.index)
    return carried


def _deal(
    order: Sequence[tuple[int, Classes]],
    sizes: Mapping[int, int],
    shares: Sequence[float],
    splits: dict[int, str],
    classes: dict[int, Classes],
) -> None:
    """Give the groups of a round, with their classes, to splits, in place; `sizes` of all groups so far."""
    dealt = _counted(sizes, splits, classes)
    taught = {label for group, split in splits.items() if split == "train" for label in classes[group]}
    for place, (group, shown) in enumerate(order):
        open_to = _open_splits(dealt, left=len(order) - place)
        if "train" in open_to and not taught.issuperset(shown) and _has_room(group, sizes, shares, splits):
            # what training never shows cannot be learned, and judging by it says nothing
            splits[group] = "train"
        else:
            splits[group] = _neediest(dealt, shown[0], sizes[group], shares, open_to)
        classes[group] = shown
        taught.update(shown if splits[group] == "train" else ())
        dealt[splits[group]].update({shown[0]: sizes[group]})


def _counted(sizes: Mapping[int, int], splits: Mapping[int, str], classes: Mapping[int, Classes]) -> Dealt:
    dealt: Dealt = {name: Counter() for name in SPLITS}
    for group, split in splits.items():
        dealt[split].update({classes[group][0]: sizes[group]})
    return dealt


def _has_room(group: int, sizes: Mapping[int, int], shares: Sequence[float], splits: Mapping[int, str]) -> bool:
    """Whether training has, with this group, no more than its share of the images, or of the groups.

    Of either: one long clip holds more than the share of the images, and many classes of one image must not leave the
    tests without any.
    """
    train = [group, *(other for other, split in splits.items() if split == "train")]
    share = shares[SPLITS.index("train")]
    return sum(sizes[one] for one in train) <= share * sum(sizes.values()) or len(train) <= share * len(sizes)


def _check_shares(shares: Sequence[float]) -> None:
    if len(shares) != len(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"dataset shares must be three positive numbers that sum to 1, got {list(shares)}")


def _check_filled(splits: Mapping[int, str], images: int, groups: int) -> None:
    missing = [name for name in SPLITS if name not in splits.values()]
    if missing:
        raise TooFewGroupsError(
            f"{images} labelled image(s) in {groups} group(s) cannot fill train, validation and test "
            f"({', '.join(missing)} would be empty); label at least {len(SPLITS)} that are no copies of each other, "
            "nor together by dataset.group_by or group_column"
        )


def _labels_of_groups(
    groups: npt.NDArray[np.int64], labels: Sequence[tuple[str, ...]], known: Mapping[int, str]
) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for group, seen in zip(groups.tolist(), labels, strict=True):
        if group not in known:
            found[group] = found.get(group, frozenset()) | frozenset(seen)
    return found


def _rare_first(groups: Mapping[int, frozenset[str]], digests: Mapping[int, str]) -> list[tuple[int, Classes]]:
    """(group, its classes) with the rarest classes of this round first, equals in the order of their hash."""
    counts = Counter(label for labels in groups.values() for label in labels)
    classes = {group: tuple(sorted(labels, key=lambda name: (counts[name], name))) or (BACKGROUND,)
               for group, labels in groups.items()}  # fmt: skip
    of_rarest = Counter(shown[0] for shown in classes.values())
    return sorted(classes.items(), key=lambda pair: (of_rarest[pair[1][0]], pair[1][0], digests[pair[0]]))


def _large_first(
    order: Sequence[tuple[int, Classes]], sizes: Mapping[int, int], shares: Sequence[float]
) -> list[tuple[int, Classes]]:
    """The same, but what alone is more than validation or test should have comes first, the largest of them first.

    Dealt last, the one long clip of three went where no other was left: training had 5 of 110 images.
    """
    most = max(shares[1:]) * sum(sizes.values())
    return sorted(order, key=lambda pair: -sizes[pair[0]] if sizes[pair[0]] > most else 0)


def _open_splits(dealt: Dealt, left: int) -> Sequence[str]:
    """All splits, or the empty ones where no more groups are left than there are of them."""
    empty = [name for name in SPLITS if not dealt[name].total()]
    return empty if empty and len(empty) >= left else SPLITS


def _neediest(dealt: Dealt, label: str, size: int, shares: Sequence[float], open_to: Sequence[str]) -> str:
    """The split of these that lacks this class and images at all most."""
    have = {name: (dealt[name][label], dealt[name].total()) for name in SPLITS}
    of_label, of_all = (sum(values) + size for values in zip(*have.values(), strict=True))

    def lack(name: str) -> float:
        share = shares[SPLITS.index(name)]
        return float(share * (of_label + of_all) - sum(have[name]))

    return max(open_to, key=lack)


def _digest(image_id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{image_id}".encode()).hexdigest()

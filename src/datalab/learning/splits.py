"""Train, validation and test: whole groups of images, the classes spread evenly, and no image ever changes sides.

A pure hash of the image would be stable, but leaves a split empty by chance where there are only twenty images. So the
rounds are dealt one after the other: what a round gets depends on itself and on earlier rounds only, both frozen once
the round is closed. Within a round, groups are dealt rare class first (then by hash) to the split that lacks them most
(the idea of iterative stratification: Sechidis, Tsoumakas, Vlahavas 2011, "On the Stratification of Multi-Label Data").
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from datalab.errors import InputError

SPLITS = ("train", "validation", "test")
BACKGROUND = ""


def assign_splits(images: pd.DataFrame, shares: Sequence[float], seed: int) -> dict[str, str]:
    """Which split every group belongs to.

    Args:
        images: One row per labelled image, in any order: `image_id`, `group`, `round_id` (the first round
            it was labelled in; sorted to find the order of the rounds) and `labels` (tuple of str, the classes seen in
            that round; empty for background only).
        shares: Wanted shares of train, validation and test; positive, summing to 1.
        seed: Another seed deals another way.

    Returns:
        group -> "train", "validation" or "test". A group is dealt in the first round it appears in, by the
        labels its images had then. Images of later rounds change nothing of what was dealt before.

    Raises:
        InputError: a share is not positive, they do not sum to 1, or there are fewer than three groups, so that a split
            would be empty.
    """
    _check_shares(shares)
    splits: dict[str, str] = {}
    dealt: dict[str, Counter[str]] = defaultdict(Counter)
    for _, rows in images.groupby("round_id", sort=True):
        fresh = {group: labels for group, labels in _labels_of_groups(rows).items() if group not in splits}
        order = _rare_first(fresh, seed)
        for place, (group, rarest) in enumerate(order):
            splits[group] = _neediest(dealt, rarest, shares, left=len(order) - place)
            dealt[splits[group]].update({rarest: 1})
    missing = [name for name in SPLITS if name not in splits.values()]
    if missing:
        raise InputError(
            f"{len(splits)} labelled image(s) that are no copies of each other cannot fill train, validation and test "
            f"({', '.join(missing)} would be empty); label at least {len(SPLITS)}"
        )
    return splits


def split_groups(catalog: pd.DataFrame, group_by: str) -> dict[str, str]:
    """Which group every image of table CATALOG belongs to, by image_id.

    Near duplicates are one group. `group_by` is a regular expression on the path an image came from: what its first
    parenthesis holds, or all that it matches, names the group (clip, patient, folder), and a near duplicate goes where
    the image goes that it is a duplicate of. "" makes no such groups; an image that does not match stays by itself.
    InputError for no regular expression.
    """
    try:
        pattern = re.compile(group_by)
    except re.error as exc:
        raise InputError(f"dataset.group_by is no regular expression ({exc}): {group_by}") from exc
    sources = dict(zip(catalog["image_id"], catalog["source"], strict=True))
    groups = {}
    for image_id, first in zip(catalog["image_id"], catalog["duplicate_group"], strict=True):
        found = pattern.search(str(sources.get(first, ""))) if group_by else None
        named = None if found is None else found.group(1 if pattern.groups else 0)
        groups[str(image_id)] = f"{group_by}: {named}" if named else str(first)
    return groups


def _check_shares(shares: Sequence[float]) -> None:
    if len(shares) != len(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(f"dataset shares must be three positive numbers that sum to 1, got {list(shares)}")


def _labels_of_groups(rows: pd.DataFrame) -> dict[str, frozenset[str]]:
    labels: dict[str, frozenset[str]] = {}
    for group, found in zip(rows["group"], rows["labels"], strict=True):
        labels[group] = labels.get(group, frozenset()) | frozenset(found)
    return labels


def _rare_first(groups: Mapping[str, frozenset[str]], seed: int) -> list[tuple[str, str]]:
    """(group, its rarest class) with the rarest classes of this round first, equals in the order of their hash."""
    counts = Counter(label for labels in groups.values() for label in labels)
    rarest = {group: min(labels, key=lambda name: (counts[name], name), default=BACKGROUND)
              for group, labels in groups.items()}  # fmt: skip
    sizes = Counter(rarest.values())
    return sorted(rarest.items(), key=lambda pair: (sizes[pair[1]], pair[1], _digest(pair[0], seed)))


def _neediest(dealt: Mapping[str, Counter[str]], label: str, shares: Sequence[float], left: int) -> str:
    """The split that lacks this class and images at all most, among the empty ones where few groups are left."""
    empty = [name for name in SPLITS if not dealt[name].total()]
    open_to = empty if len(empty) >= left and empty else SPLITS
    have = {name: (dealt[name][label], dealt[name].total()) for name in SPLITS}
    of_label, of_all = (sum(values) + 1 for values in zip(*have.values(), strict=True))

    def lack(name: str) -> float:
        share = shares[SPLITS.index(name)]
        return float(share * (of_label + of_all) - sum(have[name]))

    return max(open_to, key=lack)


def _digest(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()

"""Which images hang together, as stage `dataset` deals them: what judges people or proposals takes each as one."""

from collections.abc import Collection
from pathlib import Path

from datalab.adapters.files import read_table
from datalab.config import load_number, load_params
from datalab.learning.splits import GroupRules, SplitParams, groups_among
from datalab.tables import CATALOG, METADATA


def load_rules(params: Path) -> GroupRules:
    """`dataset.group_by`, `dataset.group_column` and `ingest.near_duplicate_distance` of params.yaml."""
    dealt = load_params(params, "dataset", SplitParams)
    distance = load_number(params, "ingest", "near_duplicate_distance", int)
    return GroupRules(dealt.group_by, dealt.group_column, distance)


def read_groups(image_ids: Collection[str], catalog: Path, metadata: Path, rules: GroupRules) -> dict[str, str]:
    """`splits.groups_among` these images by the tables CATALOG and METADATA."""
    return groups_among(image_ids, read_table(catalog, CATALOG), read_table(metadata, METADATA, others=True), rules)

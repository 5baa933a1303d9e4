"""Time two ways of doing the same thing, in turn, in one run."""

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """A command line whose `--help` is the benchmark's own documentation, as it was written."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def processor() -> str:
    """What rounds sums as it does: the same work gives the same bytes on processors of one name."""
    listed = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", listed.read_text(encoding="utf-8")) if listed.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def median_ratio(ours: Callable[[], Any], peer: Callable[[], Any], repeats: int) -> float:
    """Median of peer seconds over ours: above 1 we are faster. Each side runs once unmeasured first."""
    ours()
    peer()
    return statistics.median(seconds(peer) / seconds(ours) for _ in range(repeats))


def print_result(
    name: str, ratio: float | Mapping[str, float], peer: str, sizes: Mapping[str, Any], repeats: int, gate: bool
) -> None:
    """One JSON line; exit code 1 where the outputs were not equal."""
    rounded = round(ratio, 2) if isinstance(ratio, float) else {key: round(value, 2) for key, value in ratio.items()}
    line = {"name": name, "ratio": rounded, "peer": peer, "sizes": dict(sizes), "repeats": repeats, "gate": gate}
    sys.stdout.write(json.dumps(line) + "\n")
    if not gate:
        sys.exit(1)


def seconds(work: Callable[[], Any]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

"""Greedy k-center, 50 picks of 100,000 vectors of 384 values: ours against the loop everybody writes first.

The naive loop computes the differences to the newest pick with numpy and keeps the smallest distance. lightly-mundig,
a Rust library for the same, runs in the same turn for scale. `--million` measures the extra memory of picking 1,000 of
1,000,000 from a file instead: that takes minutes, and 1.5 GB of disk.
"""

import argparse
import gc
import json
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lightly_mundig import Selection

from datalab.learning.cover import k_center
from measure import median_ratio, print_result

ROWS, WIDTH, PICKS, REPEATS = 100_000, 384, 50, 5
Vectors = npt.NDArray[np.float32]


def unit_vectors(rows: int, seed: int) -> Vectors:
    """Random directions (rows, WIDTH) of length 1."""
    raw = np.random.default_rng(seed).standard_normal((rows, WIDTH), dtype=np.float32)
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    return raw


def naive(vectors: Vectors, count: int, covered: Vectors) -> list[int]:
    """The textbook loop: all differences to every new center."""
    nearest = np.full(len(vectors), np.inf, dtype=np.float32)
    picked: list[int] = []
    newest = covered[0]
    for _ in range(count):
        nearest = np.minimum(nearest, np.linalg.norm(vectors - newest, axis=1))
        picked.append(int(nearest.argmax()))
        newest = vectors[picked[-1]]
    return picked


def mundig(vectors: Vectors, count: int, start: int) -> list[int]:
    """The same picks by lightly-mundig, with row `start` as what is labelled."""
    selection = Selection()
    selection.add_diversifying_strategy(vectors, 1.0)
    return [int(row) for row in selection.run_selection([start], len(vectors), count + 1)][-count:]


def million(rows: int, count: int, folder: Path) -> None:
    """Pick `count` of `rows` vectors in a memory-mapped file; one JSON line with seconds and the process's peak."""
    path = folder / "vectors.npy"
    stored = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        path, mode="w+", dtype=np.float32, shape=(rows, WIDTH)
    )
    for place, start in enumerate(range(0, rows, ROWS)):
        stored[start : start + ROWS] = unit_vectors(min(ROWS, rows - start), place)
    stored.flush()
    del stored
    gc.collect()
    before = resident()
    vectors = np.load(path, mmap_mode="r")
    clock, processor = time.perf_counter(), time.process_time()
    picked = k_center(vectors, count, vectors[:0])
    line = {
        "name": "kcenter_million",
        "sizes": {"rows": rows, "width": WIDTH, "picks": count},
        "seconds": round(time.perf_counter() - clock, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "private_memory_mb_before_and_after": [round(one / 2**20) for one in (before, resident())],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "gate": len(set(picked.tolist())) == count,
    }
    sys.stdout.write(json.dumps(line) + "\n")


def resident() -> int:
    """Bytes of this process's own memory, mapped files left out."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return (int(fields[1]) - int(fields[2])) * resource.getpagesize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true", help="the large pool on disk instead")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--picks", type=int, default=1_000)
    asked = parser.parse_args()
    if asked.million:
        with tempfile.TemporaryDirectory() as folder:
            million(asked.rows, asked.picks, Path(folder))
        return
    vectors = unit_vectors(ROWS, 0)
    covered = vectors[:1]

    def ours() -> list[int]:
        return [int(row) for row in k_center(vectors, PICKS, covered)]

    gate = ours() == naive(vectors, PICKS, covered)
    ratio = {
        "naive_numpy": median_ratio(ours, lambda: naive(vectors, PICKS, covered), REPEATS),
        "lightly_mundig": median_ratio(ours, lambda: mundig(vectors, PICKS, 0), REPEATS),
    }
    same = sum(one == other for one, other in zip(ours(), mundig(vectors, PICKS, 0), strict=True))
    sizes = {"rows": ROWS, "width": WIDTH, "picks": PICKS, "picks_as_lightly_mundig": same}
    peer = f"a naive numpy {np.__version__} loop; lightly-mundig {version('lightly-mundig')}"
    print_result("kcenter", ratio, peer, sizes, REPEATS, gate)


if __name__ == "__main__":
    main()

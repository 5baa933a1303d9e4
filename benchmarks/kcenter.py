"""Greedy k-center, 50 picks of 100,000 vectors of 384 values: ours against the loop everybody writes first.

The naive loop computes the differences to the newest pick with numpy and keeps the smallest distance. lightly-mundig,
a Rust library for the same, runs in the same turn for scale. `--file` picks 1,000 of `--rows` vectors in a file
instead, with `--half` in half precision, and says what memory that took beside the file: minutes, and 8 GB of disk for
ten million. Its gate is that the first picks among the first million are those of one pass per pick, twice.
"""

import gc
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lightly_mundig import Selection
from tqdm import tqdm

from datalab.learning.cover import k_center, squared_distances
from measure import median_ratio, parser_of, print_result

ROWS, WIDTH, PICKS, REPEATS = 100_000, 384, 50, 5
PART, CHECKED = 1_000_000, 40
"""Of a large file so many rows, and picks of them, are checked."""
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


def from_file(rows: int, count: int, half: bool, folder: Path) -> None:
    """Pick `count` of `rows` vectors in a memory-mapped file; one JSON line with seconds and this process's memory."""
    path, kind = folder / "vectors.npy", np.float16 if half else np.float32
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(rows, WIDTH))  # type: ignore[no-untyped-call]
    for place, start in enumerate(tqdm(range(0, rows, ROWS), "writing vectors", disable=None)):
        stored[start : start + ROWS] = unit_vectors(min(ROWS, rows - start), place)
    stored.flush()
    del stored
    gc.collect()
    before = resident()
    vectors = np.load(path, mmap_mode="r")
    clock, processor = time.perf_counter(), time.process_time()
    with watched_memory() as most:
        picked = k_center(vectors, count, vectors[:0])
    line = {
        "name": "kcenter_file",
        "sizes": {"rows": rows, "width": WIDTH, "picks": count, "type": np.dtype(kind).name},
        "seconds": round(time.perf_counter() - clock, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "extra_memory_mb": round((most[0] - before) / 2**20),
    }
    part = vectors[:PART]
    runs = [k_center(part, CHECKED, vectors[picked[:1]]).tolist() for _ in range(2)]
    line["gate"] = len(set(picked.tolist())) == count and runs[0] == runs[1] == pass_by_pass(part, vectors[picked[:1]])
    sys.stdout.write(json.dumps(line) + "\n")
    if not line["gate"]:
        sys.exit(1)


def pass_by_pass(vectors: npt.NDArray[np.floating], covered: npt.NDArray[np.floating]) -> list[int]:
    """CHECKED picks, all distances anew for each."""
    nearest = squared_distances(vectors, np.asarray(covered[0], dtype=np.float32))
    picked: list[int] = []
    for _ in range(CHECKED):
        picked.append(int(nearest.argmax()))
        newest = np.asarray(vectors[picked[-1]], dtype=np.float32)
        nearest = np.minimum(nearest, squared_distances(vectors, newest))
    return picked


@contextmanager
def watched_memory() -> Iterator[list[int]]:
    """[the largest `resident` while it lasted], looked at every tenth of a second."""
    most, over = [resident()], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            most[0] = max(most[0], resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


def resident() -> int:
    """Bytes of this process's own memory, mapped files left out."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return (int(fields[1]) - int(fields[2])) * resource.getpagesize()


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--file", action="store_true", help="a pool in a file instead")
    parser.add_argument("--half", action="store_true", help="in half precision")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--picks", type=int, default=1_000)
    asked = parser.parse_args()
    if asked.file:
        with tempfile.TemporaryDirectory() as folder:
            from_file(asked.rows, asked.picks, asked.half, Path(folder))
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

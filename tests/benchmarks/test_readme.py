import re
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_every_benchmark_is_in_the_list_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (BENCHMARKS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = {path.stem for path in BENCHMARKS.glob("*.py")} - {"measure"}
    keys = {"name", "ratio", "peer", "sizes", "repeats", "gate"}
    assert sorted(set(rows) - keys) == sorted(files)

"""Simulated rounds of active learning on real labels: every strategy against random, seed by seed.

    python benchmarks/active_learning.py --set magnetic_tile --seeds 0 30 --strategies random default

Every strategy of a seed shares its pool, its test images, its start and the committee trained on that start. Frozen
features (the small SAM and plain filters) and light heads stand for the segmenter: what a CPU can train hundreds of
times. One line per run is added to the results as soon as it is done, so a run that is stopped can be gone on with.
"""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch

from measure import parser_of, processor
from simulated.data import Images, load_images
from simulated.head import Schedule
from simulated.rounds import PLAIN, PLANS, STRATEGIES, TOLD, simulate, split, train

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "active_learning.jsonl"
SHARED = Path(os.environ.get("DATALAB_SHARED_DATA", str(HERE.parents[1] / "shared" / "data")))


def main() -> None:
    """Simulate what is asked for and has not been done yet."""
    parser = parser_of(__doc__)
    parser.add_argument("--set", choices=sorted({plan.name for plan in PLANS}), required=True)
    parser.add_argument("--start", type=int, help="labelled images of the start; all known ones where not given")
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 3), metavar=("FROM", "TO"))
    parser.add_argument("--strategies", nargs="+", choices=[*STRATEGIES, TOLD, PLAIN], default=["random", "default"])
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with magnetic_tile and camvid")
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache" / "active_learning")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = load_images(asked.set, asked.data, asked.cache)
    for plan in PLANS:
        if plan.name == asked.set and asked.start in (None, plan.start):
            for seed in range(*asked.seeds):
                run_seed(images, plan.start, seed, asked.strategies, asked.out)


def run_seed(images: Images, start: int, seed: int, strategies: list[str], out: Path) -> None:
    """Add a line for each strategy that has none yet."""
    wanted = [name for name in strategies if (images.name, start, name, seed) not in done(out)]
    if not wanted:
        return
    plan = next(plan for plan in PLANS if (plan.name, plan.start) == (images.name, start))
    begun = train(images, split(images, plan, seed).start, seed, Schedule())
    for name in wanted:
        clock = time.process_time()
        run = simulate(images, plan, name, seed, begun, Schedule())
        spent = round(time.process_time() - clock, 1)
        key = {"set": images.name, "start": start, "strategy": name, "seed": seed}
        line = {**key, **asdict(run), "cpu_s": spent, "made_by": made_by()}
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")


def made_by() -> str:
    """What gives the same figures for the same seed."""
    return f"{processor()}, torch {torch.__version__.partition('+')[0]}"


def done(out: Path) -> set[tuple[str, int, str, int]]:
    """(set, start, strategy, seed) of the lines there are."""
    if not out.exists():
        return set()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return {(line["set"], line["start"], line["strategy"], line["seed"]) for line in lines}


if __name__ == "__main__":
    main()

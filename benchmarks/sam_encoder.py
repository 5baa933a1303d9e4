"""SAM's image encoder, ours against segment_anything's own, on random weights: speed does not depend on what they are.

On a CPU: one image, one thread. On a GPU: a batch of images, beside the official encoder with one image at a time, in
bfloat16 and in float32. `of_matrix_rate` is the rate of ours as a share of that of a plain product of matrices in the
same run. The gate is the cosine of both embeddings; `met` says of every aim for a GPU whether it was reached on one.
python benchmarks/sam_encoder.py [--kinds vit_b,vit_h] [--batch 8] [--compile]
"""

import copy
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn
from torch.nn import functional

from datalab.adapters.sam_encoder import FastEncoder, precision_for
from measure import median_ratio, parser_of, print_result, seconds

REPEATS = 5
SIDE = 1024
TERA_OPERATIONS = {"vit_b": 0.97, "vit_l": 2.99, "vit_h": 5.96}
"""Of one image: two per multiplication with addition, counted from the architecture."""
LEAST_COSINE = 0.999
AIMS = {
    "vit_b_over_bf16": 2.4,
    "vit_b_over_fp32": 8.5,
    "vit_b_of_matrix_rate": 0.45,
    "vit_h_over_bf16": 1.7,
    "vit_h_over_fp32": 9.0,
    "vit_h_of_matrix_rate": 0.45,
}
"""On a GPU, compiled, of a batch."""
MATRIX = {"cpu": 2048, "cuda": 8192}


def official_encoder(kind: str, device: torch.device) -> nn.Module:
    """With offsets and places that are not zero, as a trained one has them."""
    torch.manual_seed(0)
    encoder: nn.Module = sam_model_registry[kind]().image_encoder
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            nn.init.normal_(parameter, std=0.1)
    return encoder.to(device).eval().requires_grad_(False)


def finished(device: torch.device, work: Callable[[], Any]) -> Callable[[], Any]:
    """`work`, until the device has done it."""

    def wait() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return wait


def matrix_rate(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second of a product of two square matrices."""
    side = MATRIX[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=precision) for _ in range(2))
    multiply = finished(device, lambda: a @ b)
    multiply()
    return 2 * side**3 / min(seconds(multiply) for _ in range(REPEATS))


def in_half(encoder: nn.Module, squares: Tensor) -> Tensor:
    """The official encoder under autocast."""
    with torch.autocast(squares.device.type, torch.bfloat16):
        embedding: Tensor = encoder(squares)
        return embedding


def measure(kind: str, batch: int, compiled: bool, device: torch.device) -> tuple[dict[str, float], float]:
    """Ratios of throughput by name, and the cosine of the embeddings."""
    official, precision = official_encoder(kind, device), precision_for(device)
    ours: Any = FastEncoder(copy.deepcopy(official), precision)
    if compiled:
        ours = torch.compile(ours, mode="max-autotune")
    squares = torch.randn(batch, 3, SIDE, SIDE, device=device)
    one = squares[:1]
    together = finished(device, lambda: ours(squares))
    together()
    ratio = {
        f"{kind}_over_fp32": batch * median_ratio(together, finished(device, lambda: official(one)), REPEATS),
        f"{kind}_over_bf16": batch * median_ratio(together, finished(device, lambda: in_half(official, one)), REPEATS),
    }
    rate = batch * TERA_OPERATIONS[kind] * 1e12 / min(seconds(together) for _ in range(REPEATS))
    ratio[f"{kind}_of_matrix_rate"] = rate / matrix_rate(device, precision)
    cosine = functional.cosine_similarity(ours(one).flatten(), official(one).flatten(), dim=0)
    return ratio, float(cosine)


def met(ratio: Mapping[str, float], device: torch.device) -> dict[str, bool]:
    """Of the aims that were measured on a GPU, whether they were reached; empty on a CPU."""
    return {name: ratio[name] >= aim for name, aim in AIMS.items() if name in ratio and device.type == "cuda"}


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--kinds", default="vit_b", help=f"of {', '.join(TERA_OPERATIONS)}, with commas")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    ratio: dict[str, float] = {}
    cosines: dict[str, float] = {}
    with torch.inference_mode():
        for kind in given.kinds.split(","):
            ratios, cosines[kind] = measure(kind, given.batch, given.compile, device)
            ratio |= ratios
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, 1 thread"
    peer = f"segment-anything {version('segment-anything')} ImageEncoderViT, torch {torch.__version__}, {name}"
    sizes = {
        "side": SIDE,
        "batch": given.batch,
        "compiled": given.compile,
        "precision": str(precision_for(device)),
        "cosine": {kind: round(value, 5) for kind, value in cosines.items()},
        "aims": {name: aim for name, aim in AIMS.items() if name in ratio},
        "met": met(ratio, device),
    }
    print_result("sam_encoder", ratio, peer, sizes, REPEATS, min(cosines.values()) >= LEAST_COSINE)


if __name__ == "__main__":
    main()

import numpy as np
import torch
from mask_generator import in_precision

from datalab.adapters.mask_generator import encode
from datalab.adapters.sam import load_sam


def test_the_peer_computes_in_the_precision_that_ours_has() -> None:
    sam = load_sam("small").requires_grad_(False)
    encoded = encode(sam, np.full((40, 60, 3), 90, dtype=np.uint8))
    _, expected, logits = encoded.predict(box=np.array([10, 10, 40, 30]), return_logits=True)
    differences = []
    for precision in (torch.float32, torch.bfloat16):
        encoded.model = in_precision(sam, precision)
        _, scores, found = encoded.predict(box=np.array([10, 10, 40, 30]), return_logits=True)
        assert (scores.dtype, found.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(scores, expected, atol=0.02)
        differences.append(float(np.abs(found - logits).max()))
    assert differences[0] == 0 < differences[1]

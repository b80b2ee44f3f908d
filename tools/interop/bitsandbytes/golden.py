"""Writes what bitsandbytes makes of known weights: the golden file of packages/bitsandbytes-format. See README.md."""

import base64
import hashlib
import json
import sys

import bitsandbytes
import bitsandbytes.functional as functional
import numpy as np
import torch

DTYPES = {torch.uint8: "u8", torch.int8: "i8", torch.float32: "f32"}


def weights(rows, columns):
    """Reproducible in any language: cubes of the upper 24 bits of a multiplicative sequence, in f32."""
    u = (np.arange(rows * columns, dtype=np.uint64) * 2654435761 + 12345) % 2**32 >> 8
    y = u.astype(np.float32) * np.float32(2**-24) - np.float32(0.5)
    return torch.from_numpy((y * y * y).reshape(rows, columns))


def special():
    """Blocks of zeros, of one value, of tiny and of huge numbers, and quotients that lie between two values of a codebook."""
    x = weights(4, 256).clone()
    x[0, :64] = 0
    x[0, 64:128] = 0.25
    x[0, 128:192] = -0.0
    x[1, :64] *= 1e-30
    x[1, 64:128] *= 1e30
    x[1, 128:192] = 1e-42
    for quant_type, row in (("nf4", 2), ("fp4", 3)):
        code = functional.get_4bit_type(quant_type, "cpu").sort().values
        middle = (code[:-1] + code[1:]) / 2
        x[row, :15], x[row, 15:30], x[row, 30] = middle, torch.nextafter(middle, torch.tensor(2.0)), 1
        x[row, 31:64] = 0
    return x


def stored(tensor, whole):
    data = tensor.contiguous().numpy().tobytes()
    entry = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}
    return {**entry, "base64": base64.b64encode(data).decode()} if whole else entry


def four_bit(x, quant_type, block_size, double_quant, whole):
    packed, state = functional.quantize_4bit(x, blocksize=block_size, quant_type=quant_type, compress_statistics=double_quant)
    tensors = {"": packed, **{f".{key}": value for key, value in state.as_dict(packed=True).items()}}
    name = f"{quant_type}{'' if block_size == 64 else f'-g{block_size}'}{'-dq' if double_quant else ''}"
    return {
        "scheme": name,
        **({"offset": state.offset.item()} if double_quant else {}),
        "tensors": {key: stored(value, whole) for key, value in tensors.items()},
        "values": stored(functional.dequantize_4bit(packed, state), False),
    }


def int8(x, whole):
    codes, magnitudes, _ = functional.int8_vectorwise_quant(x.half())
    values = functional.int8_vectorwise_dequant(codes, magnitudes)
    return {"scheme": "llm-int8", "tensors": {".weight": stored(codes, whole), ".SCB": stored(magnitudes, whole)}, "values": stored(values, whole)}


small, large = special(), weights(40, 4096)
golden = {
    "madeBy": f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}, CPU",
    "small": {
        "x": stored(small, True),
        "cases": [four_bit(small, kind, size, False, True) for kind in ("nf4", "fp4") for size in (64, 128)] + [int8(small.clamp(-60000, 60000), True)],
    },
    "large": {
        "x": stored(large, False),
        "cases": [
            four_bit(large, kind, size, dq, False) for kind in ("nf4", "fp4") for size in (32, 64, 256, 4096) for dq in (False, True)
        ]
        + [int8(large, False)],
    },
}
with open(sys.argv[1], "w") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")

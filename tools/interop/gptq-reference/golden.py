"""Writes packages/gptq/test/golden/original.json: the codes that the original algorithm (gptq_reference.py) chooses for a small layer made by a formula.

All inputs are integers or fractions that both sides compute without rounding, so that the layers are the same bit for bit.
"""

import json
import sys

import torch
from gptq_reference import solve

ROWS, COLUMNS, TOKENS = 4, 256, 320


def scatter(index):
    """An integer of 0 to 1023 that looks random: multiplications and shifts in 32 bits."""
    value = index * 2654435761 % 2**32
    value = (value ^ value >> 15) * 2246822519 % 2**32
    return (value ^ value >> 13) >> 22


def layer():
    """A weight, and 2/n * X^T X of tokens whose neighbouring channels are alike and whose channels differ in size."""
    weight = torch.tensor([[(scatter(r * COLUMNS + c) - 511) / 512 for c in range(COLUMNS)] for r in range(ROWS)])
    noise = [[scatter(10**6 + t * (COLUMNS + 1) + c) - 512 for c in range(COLUMNS + 1)] for t in range(TOKENS)]
    tokens = torch.tensor([[((row[c] + row[c + 1]) // 64) * (1 + c % 5) for c in range(COLUMNS)] for row in noise], dtype=torch.float64)
    return weight, (tokens.T @ tokens / 64).float()


def main():
    weight, hessian = layer()
    cases = []
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            for act_order in (False, True):
                _, codes, scales, points = solve(weight, hessian, bits, 128, symmetric, act_order, 0.01)
                cases.append({
                    "bits": bits,
                    "symmetric": symmetric,
                    "actOrder": act_order,
                    "codes": ["".join(f"{int(code):02x}" if bits == 8 else f"{int(code):x}" for code in row) for row in codes],
                    "scales": scales.tolist(),
                    "zeroPoints": points.int().tolist(),
                })
    with open(sys.argv[1], "w") as file:
        json.dump({"rows": ROWS, "columns": COLUMNS, "tokens": TOKENS, "cases": cases}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()

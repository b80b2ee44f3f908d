"""The column loop and the Cholesky factor of the original GPTQ (blocks of 128, groups of 128, 4 bits asymmetric) in numpy, as a peer
for gptq.mjs: prints the seconds for one layer of ROWS x COLUMNS. Usage: python3 gptq_numpy.py ROWS COLUMNS
"""

import sys
import time

import numpy as np


def gptq(w, h, damp=0.01, block=128, group=128, top=15):
    w = w.copy()
    n = w.shape[1]
    h = h + damp * np.mean(np.diag(h)) * np.eye(n, dtype=np.float32)
    factor = np.linalg.cholesky(np.linalg.inv(h)).T.astype(np.float32)
    codes = np.empty(w.shape, np.uint8)
    for start in range(0, n, block):
        end = min(start + block, n)
        part, own = w[:, start:end], factor[start:end, start:end]
        errors = np.empty_like(part)
        for i in range(end - start):
            if (start + i) % group == 0:
                low = np.minimum(part[:, i : i + group].min(axis=1), 0)
                high = np.maximum(part[:, i : i + group].max(axis=1), 0)
                scale = (high - low) / top
                zero = np.round(-low / scale)
            code = np.clip(np.round(part[:, i] / scale) + zero, 0, top)
            codes[:, start + i] = code
            errors[:, i] = (part[:, i] - scale * (code - zero)) / own[i, i]
            part[:, i + 1 :] -= np.outer(errors[:, i], own[i, i + 1 :])
        w[:, end:] -= errors @ factor[start:end, end:]
    return codes


rows, columns = int(sys.argv[1]), int(sys.argv[2])
random = np.random.default_rng(1)
weight = random.standard_normal((rows, columns), np.float32)
x = random.standard_normal((columns + 64, columns), np.float32)
hessian = (2 / (columns + 64)) * x.T @ x
best = float("inf")
for _ in range(3):
    begin = time.perf_counter()
    gptq(weight, hessian)
    best = min(best, time.perf_counter() - begin)
print(best)

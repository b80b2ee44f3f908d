"""Is each layer that Calibrant quantized what the original algorithm makes of it? Each is solved behind the layers that Calibrant quantized before it, so that no difference adds up.

python layer_by_layer.py MODEL KEPT/jobs.json      (KEPT: what compare.mjs --keep KEPT left)
"""
import argparse
import glob
import json
import os

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from gptq_reference import SETS, hessians, solve


def unpack(words, bits, count):
    """Codes [rows, count] of bit strings in little-endian int32 words [rows, words]."""
    first = torch.arange(count) * bits
    word, offset = first // 32, first % 32
    padded = torch.nn.functional.pad(words.long() & 0xFFFFFFFF, (0, 1))
    return ((padded[:, word] >> offset) | (padded[:, word + 1] << (32 - offset))) & (2**bits - 1)


def values(tensors, name, bits, rows, columns):
    """What a packed layer of compressed-tensors stands for, [rows, columns]."""
    codes, scales = unpack(tensors[f"{name}.weight_packed"], bits, columns), tensors[f"{name}.weight_scale"]
    points = tensors.get(f"{name}.weight_zero_point")
    points = torch.full_like(scales, 2 ** (bits - 1)) if points is None else unpack(points.T, bits, rows).T
    groups = tensors.get(f"{name}.weight_g_idx", torch.arange(columns) // (columns // scales.shape[1])).long()
    return scales[:, groups] * (codes - points[:, groups])


def report(folder, job):
    with open(job["ids"]) as file:
        sequences = json.load(file)
    tensors = {key: value for path in glob.glob(os.path.join(job["ours"], "*.safetensors")) for key, value in load_file(path).items()}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    same = total = 0
    worst = {"share": 1.0, "error": 0.0}
    for i, block in enumerate(model.model.layers):
        for names in SETS:
            layers = {name: block.get_submodule(name) for name in names}
            for name, hessian in hessians(model, layers, sequences).items():
                weight = layers[name].weight
                theirs = solve(weight.data, hessian, job["bits"], 128, job["symmetric"], job["actOrder"], job["damp"])[0]
                ours = values(tensors, f"model.layers.{i}.{name}", job["bits"], *weight.shape)
                error = [(((found - weight) @ hessian) * (found - weight)).sum().item() for found in (ours, theirs)]
                equal = ((ours - theirs).abs() < 1e-3 * weight.abs().mean()).sum().item()
                same, total = same + equal, total + weight.numel()
                worst = {"share": min(worst["share"], equal / weight.numel()), "error": max(worst["error"], error[0] / error[1])}
                weight.copy_(ours)
    print(
        f"{job['name']}: {100 * same / total:.3f} % of the weights equal, {100 * worst['share']:.2f} % or more in each layer; "
        f"the error of a layer at most {worst['error']:.5f} of the original's",
        flush=True,
    )


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("jobs")
    args = parser.parse_args()
    with open(args.jobs) as file:
        for job in json.load(file):
            report(args.model, job)


main()

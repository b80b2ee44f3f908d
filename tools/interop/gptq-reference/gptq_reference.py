"""GPTQ as its paper and original code define it, in plain PyTorch: what Calibrant's solver is compared with.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (arXiv 2210.17323), algorithm 1, with the
conventions of the original program: Hessians 2/n * sum of x x^T over calibration sequences, damping as a share of the mean diagonal, blocks of
128 columns, group grids fitted when the loop reaches a group, activation order by descending diagonal, true-sequential sets of layers. The
grid of a group comes from minimum and maximum, extended to hold 0; a symmetric one is widened to both sides where a weight is negative.

Reads token ids and settings from JSON, writes models whose linear layers are replaced by what their codes stand for, in float32.
"""

import argparse
import json
import os
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

SETS = [
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    ["self_attn.o_proj"],
    ["mlp.gate_proj", "mlp.up_proj"],
    ["mlp.down_proj"],
]


class Captured(Exception):
    """Ends a forward pass when the last layer of a set has been seen."""


def fit(group, bits, symmetric):
    """Scale and zero point of each row of a group [out, columns]."""
    zero = torch.zeros(group.shape[0], dtype=group.dtype)
    low = torch.minimum(group.min(1).values, zero)
    high = torch.maximum(group.max(1).values, zero)
    if symmetric:
        high = torch.maximum(low.abs(), high)
        low = torch.where(low < 0, -high, low)
    empty = (low == 0) & (high == 0)
    low, high = torch.where(empty, -torch.ones_like(low), low), torch.where(empty, torch.ones_like(high), high)
    levels = 2**bits - 1
    scale = (high - low) / levels
    point = torch.full_like(scale, (levels + 1) / 2) if symmetric else torch.round(-low / scale)
    return scale, point


def solve(weight, hessian, bits, group_size, symmetric, act_order, damp, block=128):
    """The values [out, in] that the codes of a layer stand for, the codes, and scales and zero points [out, groups]."""
    w, h = weight.clone(), hessian.clone()
    columns = w.shape[1]
    size = columns if group_size == -1 else group_size
    dead = torch.diag(h) == 0
    h[dead, dead] = 1
    w[:, dead] = 0
    order = torch.argsort(torch.diag(h), descending=True) if act_order else torch.arange(columns)
    w, h = w[:, order], h[order][:, order]
    h += torch.eye(columns) * damp * torch.diag(h).mean()
    u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    values, codes = torch.zeros_like(w), torch.zeros_like(w)
    grids = []
    for start in range(0, columns, block):
        end = min(start + block, columns)
        part, errors = w[:, start:end].clone(), torch.zeros(w.shape[0], end - start)
        inverse = u[start:end, start:end]
        for i in range(end - start):
            if (start + i) % size == 0:
                grids.append(fit(w[:, start + i : start + i + size], bits, symmetric))
            scale, point = grids[-1]
            codes[:, start + i] = torch.clamp(torch.round(part[:, i] / scale) + point, 0, 2**bits - 1)
            rounded = values[:, start + i] = scale * (codes[:, start + i] - point)
            errors[:, i] = (part[:, i] - rounded) / inverse[i, i]
            part[:, i:] -= errors[:, i : i + 1] @ inverse[i : i + 1, i:]
        w[:, end:] -= errors @ u[start:end, end:]
    back = torch.argsort(order)
    scales, points = (torch.stack(parts, 1) for parts in zip(*grids))
    return values[:, back], codes[:, back], scales, points


def hessians(model, layers, sequences):
    """2/n * sum of x x^T at the input of each layer, over n sequences."""
    found = {name: torch.zeros(layer.in_features, layer.in_features) for name, layer in layers.items()}
    waiting = set()

    def observe(name):
        def hook(_module, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
            found[name].addmm_(x.T, x, alpha=2 / len(sequences))
            waiting.discard(name)
            if not waiting:
                raise Captured

        return hook

    hooks = [layer.register_forward_pre_hook(observe(name)) for name, layer in layers.items()]
    for ids in sequences:
        waiting.update(layers)
        try:
            model.model(torch.tensor([ids]), use_cache=False)
        except Captured:
            pass
    for hook in hooks:
        hook.remove()
    return found


def quantize(folder, out, sequences, bits, group_size, symmetric, act_order, damp):
    """Writes the model of a folder with its linear layers replaced by what their codes stand for."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for block in model.model.layers:
        for names in SETS:
            layers = {name: block.get_submodule(name) for name in names}
            for name, hessian in hessians(model, layers, sequences).items():
                weight = layers[name].weight
                weight.copy_(solve(weight.data, hessian, bits, group_size, symmetric, act_order, damp)[0])
    os.makedirs(out, exist_ok=True)
    for file in os.listdir(folder):
        if file.endswith(".json") and "index" not in file and not file.startswith("reference"):
            shutil.copy(os.path.join(folder, file), out)
    state = {name: value.contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight" or not model.config.tie_word_embeddings}
    save_file(state, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("jobs", help="JSON: a list of {ids, out, bits, symmetric, actOrder, damp}, ids a JSON file of token sequences")
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with open(args.jobs) as file:
        jobs = json.load(file)
    for job in jobs:
        with open(job["ids"]) as file:
            sequences = json.load(file)
        quantize(args.model, job["out"], sequences, job["bits"], args.group_size, job["symmetric"], job["actOrder"], job["damp"])
        print(job["out"], flush=True)


if __name__ == "__main__":
    main()

"""How far AutoAWQ's clipping search depends on the last bits of its scales: the search, as AutoAWQ has it, on the weights that it scaled, and again with noise on the scales.

python clip_noise.py MODEL TOKENS.json SCALED BITS

SCALED is what autoawq.py wrote. For one layer behind each norm of the first block, the share of groups of 128 weights whose range stays within 1 %.
"""
import glob
import json
import os
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

GROUP, TOKENS, STEPS = 128, 512, 10
LAYERS = {"self_attn.v_proj": "input_layernorm", "mlp.gate_proj": "post_attention_layernorm"}

folder, tokens, scaled, bits = sys.argv[1:5]
levels = 2 ** int(bits) - 1


def rounded(w):
    low, high = w.amin(-1, keepdim=True), w.amax(-1, keepdim=True)
    scale = (high - low).clamp(min=1e-5) / levels
    zero = (-torch.round(low / scale)).clamp(0, levels)
    return (torch.clamp(torch.round(w / scale) + zero, 0, levels) - zero) * scale


def ranges(weight, inputs):
    """The clipping range of each group, [rows, groups]."""
    w = weight.reshape(weight.shape[0], -1, GROUP)
    x = inputs.reshape(-1, w.shape[1], GROUP)
    x = x[:: max(1, x.shape[0] // TOKENS)]
    largest = w.abs().amax(-1, keepdim=True)
    best, least = largest.clone(), torch.full_like(largest, 1e9)
    outputs = torch.einsum("tgc,rgc->trg", x, w)
    for step in range(STEPS):
        bound = largest * (1 - step / (2 * STEPS))
        error = (torch.einsum("tgc,rgc->trg", x, rounded(torch.clamp(w, -bound, bound))) - outputs).pow(2).mean(0)[..., None]
        best, least = torch.where(error < least, bound, best), torch.minimum(error, least)
    return best[..., 0]


model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
block = model.model.layers[0]
seen = {}
for name in LAYERS:
    block.get_submodule(name).register_forward_pre_hook(lambda _module, inputs, name=name: seen.update({name: inputs[0]}))
with open(tokens) as file, torch.no_grad():
    model.model(torch.tensor(json.load(file)))
theirs = {key: value for path in glob.glob(os.path.join(scaled, "*.safetensors")) for key, value in load_file(path).items()}
torch.manual_seed(0)
for name, norm in LAYERS.items():
    weight = block.get_submodule(name).weight.data
    scales = block.get_submodule(norm).weight.data / theirs[f"model.layers.0.{norm}.weight"].float()
    plain = ranges(weight * scales, seen[name] / scales)
    for noise in (1e-7, 1e-6, 2**-9):
        moved = scales * (1 + noise * (2 * torch.rand_like(scales) - 1))
        same = (ranges(weight * moved, seen[name] / moved) / plain - 1).abs() < 0.01
        print(f"{name}, relative noise {noise:.1e}: {100 * same.float().mean():.1f} % of {same.numel()} groups keep their range")

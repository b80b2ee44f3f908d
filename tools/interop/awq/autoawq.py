"""Scales and clips a model with AutoAWQ on given calibration tokens and saves it in floating point: the rounding is left to Calibrant, so that the searches alone differ.

python autoawq.py MODEL TOKENS.json OUT BITS
"""
import json
import sys

import torch
from awq import AutoAWQForCausalLM
from transformers import AutoTokenizer

# AutoAWQ keeps the weights that it restores between trials by `.cpu()`, which is no copy where they are on the CPU already.
plain_state_dict = torch.nn.Module.state_dict


def copied_state_dict(self, *args, **kwargs):
    values = plain_state_dict(self, *args, **kwargs)
    return type(values)((name, value.clone()) for name, value in values.items())


source, tokens, out, bits = sys.argv[1:5]
model = AutoAWQForCausalLM.from_pretrained(source, device_map="cpu", torch_dtype=torch.float32, safetensors=True)
tokenizer = AutoTokenizer.from_pretrained(source)
with open(tokens) as file:
    sequences = json.load(file)
torch.nn.Module.state_dict = copied_state_dict
model.quantize(
    tokenizer,
    quant_config={"zero_point": True, "q_group_size": 128, "w_bit": int(bits), "version": "GEMM"},
    calib_data=sequences,
    max_calib_samples=len(sequences),
    max_calib_seq_len=len(sequences[0]),
    export_compatible=True,
)
torch.nn.Module.state_dict = plain_state_dict
model.model.save_pretrained(out)
tokenizer.save_pretrained(out)

"""Loads each folder that folders.mjs made with the peers' own code, on a CPU, and compares logits with Calibrant's. See README.md."""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def by_transformers(folder, _, **options):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()
    layer = type(model.model.layers[0].mlp.up_proj).__name__
    return model, f"transformers ({layer})"


def by_gptqmodel(folder, source):
    """transformers' own loaders of GPTQ and AWQ, whose layers are GPTQModel's; its torch kernels, since those for AVX-512 compile at the first use."""
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    if settings["quant_method"] == "gptq":
        options = transformers.GPTQConfig(bits=settings["bits"], backend="torch")
    else:
        options = transformers.AwqConfig(bits=4, group_size=settings["group_size"], zero_point=settings["zero_point"], backend="torch_awq")
    model, loader = by_transformers(folder, source, quantization_config=options)
    for layer in model.modules():
        if hasattr(layer, "qweight"):
            layer.scales = layer.scales.float()  # the kernel decodes in the type of the scales
    return model, loader


def with_scales_of_kernels(folder, source):
    """compressed-tensors divides the largest magnitude of a token by 127.5 (7.5 for 4 bits); the kernels of vLLM, SGLang and TensorRT-LLM, as whose Calibrant evaluates, by 127 (7)."""
    import compressed_tensors.quantization.lifecycle.forward as forward

    model, loader = by_transformers(folder, source)
    plain = forward.compute_dynamic_scales_and_zp

    def of_kernels(value, args, *others, **named):
        scale, zero_point = plain(value, args, *others, **named)
        return (value.abs().amax(-1, keepdim=True) / (2 ** (args.num_bits - 1) - 1) if args.symmetric else scale), zero_point

    forward_of_model = model.forward

    def run(*arguments, **named):
        forward.compute_dynamic_scales_and_zp = of_kernels
        try:
            return forward_of_model(*arguments, **named)
        finally:
            forward.compute_dynamic_scales_and_zp = plain

    model.forward = run
    return model, f"{loader}, scales of kernels"


def sensitivity(model, ids, logits):
    """How far the model's own logits move when its embedding changes by 1e-6: where inputs are rounded, one value that falls on the other side of a step moves everything behind it."""
    weight = model.get_input_embeddings().weight
    before = weight.data.clone()
    moved = []
    for seed in range(3):
        noise = torch.randn(before.shape, generator=torch.Generator().manual_seed(seed))
        weight.data = before * (1 + 1e-6 * noise)
        moved.append((model(ids).logits[0].float() - logits).abs().max().item())
    weight.data = before
    return max(moved)


def plain_model(source, weights):
    """The unquantized architecture with other weights."""
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    missing, unexpected = model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    if unexpected or any(name != "lm_head.weight" for name in missing):
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    return model


def split(folder):
    """Tensors of quantized layers by module, and the others."""
    tensors = load_file(folder / "model.safetensors")
    modules = {name[: -len(".qweight")] for name in tensors if name.endswith(".qweight")}
    layers = {module: {part: tensors.pop(f"{module}.{part}") for part in ("qweight", "qzeros", "scales", "g_idx") if f"{module}.{part}" in tensors} for module in modules}
    return layers, tensors


def by_autoawq(folder, source):
    path = pathlib.Path(importlib.util.find_spec("awq").submodule_search_locations[0]) / "utils" / "packing_utils.py"
    spec = importlib.util.spec_from_file_location("packing_utils", path)
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)  # the package itself does not import beside this transformers
    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    layers, weights = split(folder)
    for module, parts in layers.items():
        weight = packing.dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"].float(), settings["bits"], settings["group_size"])
        weights[f"{module}.weight"] = weight.t()
    return plain_model(source, weights), "autoawq dequantize_gemm"


def by_auto_round(folder, source):
    from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp

    settings = json.loads((folder / "config.json").read_text())["quantization_config"]
    v1 = settings["checkpoint_format"] == "gptq"
    kernel = qlinear_torch_zp if v1 else qlinear_torch
    layers, weights = split(folder)
    for module, parts in layers.items():
        outputs = parts["scales"].shape[1]
        inputs = parts["qweight"].shape[0] * 32 // settings["bits"]
        layer = kernel.QuantLinear(settings["bits"], settings["group_size"], inputs, outputs, False)
        layer.load_state_dict({name: value for name, value in parts.items() if name != "g_idx"})
        layer.scales = layer.scales.float()  # the kernel multiplies in the type of the scales
        weights[f"{module}.weight"] = layer(torch.eye(inputs)).t()
    return plain_model(source, weights), f"auto-round {kernel.__name__.split('.')[-1]}"


def by_bitsandbytes(folder, source):
    """Linear4bit multiplies in bf16 on a CPU and LLM.int8() rounds activations; the library's dequantizers give the weights, which are what Calibrant evaluates."""
    from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant

    weights = load_file(folder / "model.safetensors")
    layers = [name[: -len(".SCB")] for name in weights if name.endswith(".SCB")]
    for module in layers:
        weights.pop(f"{module}.weight_format")
        weights[f"{module}.weight"] = int8_vectorwise_dequant(weights[f"{module}.weight"], weights.pop(f"{module}.SCB"))
    if layers:
        return plain_model(source, weights), "bitsandbytes int8_vectorwise_dequant"
    model, _ = by_transformers(folder, source)
    for name, layer in list(model.named_modules()):
        if type(layer).__name__ == "Linear4bit":
            linear = torch.nn.Linear(layer.in_features, layer.out_features, bias=False)
            linear.weight.data = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
            model.set_submodule(name, linear)
    return model, "transformers, bitsandbytes dequantize_4bit"


LOADERS = {"gptq": [by_gptqmodel, by_auto_round], "awq": [by_gptqmodel, by_autoawq], "ct": [by_transformers], "bnb": [by_bitsandbytes], "native": [by_transformers]}
DYNAMIC_INTEGERS = ["ct-int-w8a8", "ct-int-w4a8", "ct-int-w4a4"]


@torch.no_grad()
def main(folder):
    run = json.loads((folder / "cases.json").read_text())
    ids = torch.tensor([run["ids"]])
    print("| folder | loaded by | max difference of logits | share of the largest logit | same next token | moved by 1e-6 in the embedding |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in run["cases"]:
        name = case["name"]
        if "refused" in case:
            print(f"| {name} | not written: {case['refused']} | | | | |")
            continue
        ours = torch.from_numpy(np.fromfile(folder / f"{name}.f32", dtype=np.float32).reshape(case["shape"]))
        for load in LOADERS[name.split("-")[0]] + [with_scales_of_kernels] * (name in DYNAMIC_INTEGERS):
            try:
                model, loader = load(folder / name, run["model"])
                theirs = model(ids).logits[0].float()
                difference = (theirs - ours).abs().max().item()
                same = (theirs.argmax(-1) == ours.argmax(-1)).float().mean().item()
                moved = f"{sensitivity(model, ids, theirs):.2e}" if difference > 1e-2 else ""
                print(f"| {name} | {loader} | {difference:.2e} | {difference / ours.abs().max().item():.1e} | {same:.0%} | {moved} |", flush=True)
            except Exception as error:  # a table with every row is worth more than a trace
                print(f"| {name} | failed: {type(error).__name__}: {str(error).splitlines()[0][:160]} | | | | |", flush=True)


main(pathlib.Path(sys.argv[1]))

"""Adapters in both directions: PEFT's read here, ours read by PEFT."""
import torch
from peft import PeftModel

import tiny_models
from case_lora import add_adapter, saved_adapter
from golden import relative_difference
from live.bench import compare_results, largest_difference, packed_logits
from live.model_checks import LIMIT, SAVED_LIMIT
from safetensors_file import load_file


def load_adapter(bench, name, folder):
    """The base model with an adapter folder that was written here."""
    base = tiny_models.make_model(name, bench.seed)
    return PeftModel.from_pretrained(base, folder).eval()


def in_bfloat16(model):
    """Rounds the frozen weights to bfloat16 and leaves them float32: what a base stored in bfloat16 holds."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().float())
    return model


def check_bfloat16_base(bench, name, settings):
    """A base that is read in bfloat16 beside float32 adapters, computed in float32: PEFT on the rounded weights."""
    model, inputs, folder = bench.write_model(name)
    tuned = add_adapter(in_bfloat16(model), settings, bench.seed + 2)
    adapter = bench.folder / f"{name}-bfloat16-adapter"
    tuned.save_pretrained(adapter)

    def compare(out, report):
        results = load_file(out / "results.safetensors")
        compare_results(results, tuned, inputs, report, LIMIT, lambda key: key.replace(".default.", "."))

    arguments = {"folder": folder, "adapter": adapter, "inputs": folder / "inputs.safetensors", "dtype": "bfloat16"}
    bench.add("bfloat16-base", name, compare, **arguments)


def check_peft_adapter(bench, name, settings):
    """PEFT's folder: computed here, written again, merged; each compared with PEFT."""
    model, inputs, folder = bench.write_model(name)
    tuned = add_adapter(model, settings, bench.seed + 2)
    adapter = bench.folder / f"{name}-adapter"
    tuned.save_pretrained(adapter)

    def compare(out, report):
        results = load_file(out / "results.safetensors")
        compare_results(results, tuned, inputs, report, LIMIT, lambda key: key.replace(".default.", "."))
        expected = packed_logits(tuned, inputs)
        again = load_adapter(bench, name, out / "adapter")
        report("saved: A and B", largest_difference(saved_adapter(again)[1], saved_adapter(tuned)[1]), 0)
        report("saved: logits", relative_difference(packed_logits(again, inputs), expected), SAVED_LIMIT)
        merged = tuned.merge_and_unload()
        ours = tiny_models.load_model(out / "merged")
        report("merged: weights", largest_difference(dict(ours.named_parameters()), dict(merged.named_parameters())), SAVED_LIMIT)
        report("merged: logits", relative_difference(packed_logits(ours, inputs), packed_logits(merged, inputs)), SAVED_LIMIT)

    inputs_file = folder / "inputs.safetensors"
    bench.add("peft-adapter", name, compare, folder=folder, adapter=adapter, inputs=inputs_file)


def check_new_adapter(bench, name, settings):
    """An adapter made here with random A and B; PEFT computes from its folder what was computed here."""
    _, inputs, folder = bench.write_model(name)

    def compare(out, report):
        tuned = load_adapter(bench, name, out / "adapter")
        for parameter_name, parameter in tuned.named_parameters():
            parameter.requires_grad_("lora_" in parameter_name)
        results = load_file(out / "results.safetensors")
        compare_results(results, tuned, inputs, report, LIMIT, lambda key: key.replace(".default.", "."))

    inputs_file = folder / "inputs.safetensors"
    bench.add("new-adapter", name, compare, folder=folder, lora=settings, seed=bench.seed, inputs=inputs_file)

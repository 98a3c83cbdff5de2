"""A folder that transformers wrote, computed by the project, written again and read by transformers."""
import json
import shutil

import torch
from transformers import AutoModelForCausalLM

import tiny_models
from golden import relative_difference
from live.bench import compare_results, largest_difference, packed_logits
from safetensors_file import load_file

LIMIT = 1e-4  # two programs, float32
SAVED_LIMIT = 1e-5  # one program on weights that went through ours


def check_model(bench, name):
    """Logits, loss and gradients in three layouts; then the folders written here: float32, in shards, bfloat16."""
    model, inputs, folder = bench.write_model(name)

    def compare(out, report):
        compare_results(load_file(out / "results.safetensors"), model, inputs, report, LIMIT)
        expected, weights = packed_logits(model, inputs), dict(model.named_parameters())
        for kind in ("saved",):
            saved = tiny_models.load_model(out / kind)
            report(f"{kind}: weights", largest_difference(dict(saved.named_parameters()), weights), 0)
            report(f"{kind}: logits", relative_difference(packed_logits(saved, inputs), expected), SAVED_LIMIT)
        narrow = dict(AutoModelForCausalLM.from_pretrained(out / "bfloat16", dtype="auto").named_parameters())
        rounded = {key: value.bfloat16() for key, value in weights.items()}
        is_narrow = all(parameter.dtype == torch.bfloat16 for parameter in narrow.values())
        report("bfloat16: weights", largest_difference(narrow, rounded) if is_narrow else 1, 0)

    bench.add("model", name, compare, folder=folder, inputs=folder / "inputs.safetensors")


def older_configs(model, config):
    """config.json as transformers 4 wrote it, and the same without the keys that have the default of their class."""
    old = {key: value for key, value in tiny_models.old_config(config).items() if key != "layer_types"}
    plain = tiny_models.old_config({"dtype": "float32", **type(model.config)().to_dict()})
    kept = ("architectures", "model_type", "torch_dtype")
    return {"old": old, "sparse": {key: value for key, value in old.items() if key in kept or plain.get(key) != value}}


def check_older_configs(bench, name):
    """Other spellings of the same config.json. transformers, which reads them too, says what they give."""
    model, inputs, folder = bench.write_model(name)
    config = json.loads((folder / "config.json").read_text())
    for spelling, content in older_configs(model, config).items():
        spelled = bench.folder / f"{name}-{spelling}"
        shutil.copytree(folder, spelled)
        (spelled / "config.json").write_text(json.dumps(content))

        def compare(out, report, spelled=spelled):
            theirs = tiny_models.load_model(spelled)
            report("transformers' own", relative_difference(packed_logits(theirs, inputs), packed_logits(model, inputs)), SAVED_LIMIT)
            compare_results(load_file(out / "results.safetensors"), theirs, inputs, report, LIMIT)

        bench.add("config", f"{name} {spelling}", compare, folder=spelled, inputs=folder / "inputs.safetensors")

"""Logits, loss and gradients of a random model of each architecture, written and computed by transformers.

The outputs are those of the packed row, each sample computed alone. Rows padded on either side hold the same samples;
transformers gives the same figures for them, which is asserted here, so they are not stored three times.
"""
import json
import tempfile
from pathlib import Path

import torch
import transformers

import tiny_models
from golden import Case
from safetensors_file import save_file

SOURCES = ["case_architectures.py", "tiny_models.py"]
SEEDS = {name: 100 + 10 * number for number, name in enumerate(tiny_models.ARCHITECTURES)}
# Folders as transformers 4 wrote them are still what most models on the hub are.
OLD_CONFIGS = ("llama3", "llama-linear", "mistral")
REASON = (
    "float32 sums in another order move a tensor of this size by a few 1e-7; transformers itself gives the three layouts "
    "of the same samples within 2e-6"
)


def reference():
    return {"name": "PyTorch", "version": torch.__version__, "transformers": transformers.__version__}


def check_old_config(config, weights, inputs, expected):
    """transformers reads the older config to the same logits, so it is a faithful one."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        save_file(weights, Path(folder) / "model.safetensors", {"format": "pt"})
        with torch.no_grad():
            logits_BTV, _ = tiny_models.run_layout(tiny_models.load_model(folder), inputs, "packed")
    tiny_models.require_close("config of transformers 4", logits_BTV, expected)


def make_case(name):
    seed = SEEDS[name]
    model = tiny_models.make_model(name, seed)
    inputs = tiny_models.make_inputs(model.config.vocab_size, seed + 1)
    outputs, loss = tiny_models.run_layouts(model, inputs)
    content, weights = tiny_models.saved_files(model)
    files = {"model/" + key: value for key, value in content.items()}
    if name in OLD_CONFIGS:
        old = tiny_models.old_config(content["config.json"])
        check_old_config(old, weights, inputs, outputs["logits_BTV"])
        files["config-transformers-4.json"] = old
    kind, changes = tiny_models.ARCHITECTURES[name]
    return Case(
        package="adapt", name="model-" + name, sources=SOURCES, seed=seed, config={"model_type": kind, **changes},
        reason=REASON, reference=reference(), model="model", files=files,
        tensors={"model/model.safetensors": weights, "tensors.safetensors": {**inputs, **outputs}},
        values={"loss": loss, "numLabels": int((inputs["packed.labels_BT"] != -100).sum())},
    )


def cases():
    tiny_models.quiet()
    return [make_case(name) for name in tiny_models.ARCHITECTURES]

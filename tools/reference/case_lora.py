"""LoRA adapters as PEFT writes them: logits, loss, gradients of A and B, merged weights, and which modules a target names."""
import json
import tempfile
import warnings
from pathlib import Path

import peft
import torch
from peft import LoraConfig, get_peft_model

import case_architectures
import tiny_models
from golden import Case
from safetensors_file import load_file

SOURCES = ["case_architectures.py", "case_lora.py", "tiny_models.py"]
REASON = case_architectures.REASON
ADAPTERS = {
    "lora-llama": ("llama", {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}),
    "lora-llama-rslora": (
        "llama",
        {
            "r": 4, "lora_alpha": 6, "use_rslora": True,
            "target_modules": r"model\.layers\.1\.(self_attn\.[qkvo]_proj|mlp\.down_proj)",
        },
    ),
    "lora-qwen2-all-linear": ("qwen2", {"r": 3, "lora_alpha": 5, "target_modules": "all-linear"}),
}
# Lists name a module or the end of its path, a string is a regular expression over the whole path.
TARGETS = [
    ["q_proj", "v_proj"], ["self_attn.q_proj"], ["model.layers.0.self_attn.q_proj"], ["layers.1.mlp.up_proj", "k_proj"],
    ["q_proj", "nothing"], ["nothing"], ["proj"], ["up_proj|down_proj"], ["lm_head", "q_proj"], ["embed_tokens", "q_proj"],
    ["norm"], "all-linear", "q_proj", r".*\.q_proj", r".*(q|v)_proj", r"model\.layers\.1\.mlp\.\w+_proj", r".*\.mlp.*", "lm_head",
    None,
]


def reference():
    return {**case_architectures.reference(), "peft": peft.__version__}


def seed_of(name):
    return 300 + 10 * list(ADAPTERS).index(name)


def add_adapter(model, settings, seed):
    """A PEFT model in evaluation mode with A and B drawn from N(0, 0.15^2): neither half is zero."""
    tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(tuned.named_parameters()):
            if "lora_" in key:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    return tuned


def saved_adapter(tuned):
    """What PEFT's `save_pretrained` writes: the config (its set of targets sorted) and the tensors."""
    with tempfile.TemporaryDirectory() as folder:
        tuned.save_pretrained(folder)
        config = json.loads((Path(folder) / "adapter_config.json").read_text())
        tensors = load_file(Path(folder) / "adapter_model.safetensors")
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    return config, tensors


def merged_weights(tuned):
    """The weights that `merge_and_unload` changed, by their name in the base model. `tuned` is used up."""
    targets = {name + ".weight" for name in tuned.base_model.targeted_module_names}
    merged = tuned.merge_and_unload()
    return {name: value.detach() for name, value in merged.named_parameters() if name in targets}


def make_case(name):
    seed = seed_of(name)
    base, settings = ADAPTERS[name]
    model = tiny_models.make_model(base, case_architectures.SEEDS[base])
    inputs = tiny_models.make_inputs(model.config.vocab_size, seed + 1)
    tuned = add_adapter(model, settings, seed)
    outputs, loss = tiny_models.run_layouts(tuned, inputs)
    outputs = {key.replace(".default.", "."): value for key, value in outputs.items()}
    config, tensors = saved_adapter(tuned)
    if {"grad." + key for key in tensors} != outputs.keys() - {"logits_BTV"}:
        raise AssertionError(f"{name}: something other than the adapter has gradients")
    modules = sorted(tuned.base_model.targeted_module_names)
    outputs.update({"merged." + key: value for key, value in merged_weights(tuned).items()})
    return Case(
        package="adapt", name=name, sources=SOURCES, seed=seed, config={"base": base, **settings}, reason=REASON,
        reference=reference(), model=f"../model-{base}/model",
        tensors={"adapter/adapter_model.safetensors": tensors, "tensors.safetensors": {**inputs, **outputs}},
        files={"adapter/adapter_config.json": config}, values={"loss": loss, "modules": modules},
    )


def target_case(base="qwen3"):
    """Which modules PEFT adapts for each form of `target_modules`; `error` names the class where it refuses."""
    found = []
    for targets in TARGETS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tuned = get_peft_model(tiny_models.make_model(base, 1), LoraConfig(r=1, target_modules=targets))
                found.append({"targets": targets, "modules": sorted(tuned.base_model.targeted_module_names)})
            except ValueError as error:
                found.append({"targets": targets, "error": type(error).__name__})
    return Case(
        package="adapt", name="lora-targets", sources=SOURCES, seed=1, config={"base": base}, tensors={},
        reference=reference(), model=f"../model-{base}/model",
        reason="names, compared exactly", values={"targets": found},
    )


def cases():
    tiny_models.quiet()
    return [*map(make_case, ADAPTERS), target_case()]

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


# What our own config.json says of a model that did not come from a folder; special ids are the caller's.
OWN_KEYS = (
    "model_type", "architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_parameters", "hidden_act",
    "attention_bias", "mlp_bias", "tie_word_embeddings", "sliding_window", "layer_types",
)


def config_differences(saved, model, is_own):
    """How many keys transformers reads otherwise from our config.json, and from a generation_config.json carried along."""
    ours, theirs = saved.config.to_dict(), {**model.config.to_dict(), "architectures": [type(model).__name__]}
    keys = OWN_KEYS if is_own else (ours.keys() | theirs.keys()) - {"_name_or_path", "transformers_version"}
    if "head_dim" not in theirs:  # Qwen2 has none; ours says what follows from the other sizes
        keys = set(keys) - {"head_dim"}
    different = sum(ours.get(key) != theirs.get(key) for key in keys)
    if is_own:
        return different
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    return different + sum(getattr(saved.generation_config, key) != getattr(model.generation_config, key) for key in ids)


def bfloat16_difference(folder, model):
    """Between a folder read in its own dtype and the rounded weights of a model; 1 when that dtype is another."""
    narrow = dict(AutoModelForCausalLM.from_pretrained(folder, dtype="auto").named_parameters())
    if any(parameter.dtype != torch.bfloat16 for parameter in narrow.values()):
        return 1
    return largest_difference(narrow, {key: value.bfloat16() for key, value in model.named_parameters()})


def check_shards(bench, name):
    """A folder of bfloat16 shards by transformers, read here and written as one file."""
    model, _, _ = bench.write_model(name)
    folder = bench.folder / f"{name}-shards"
    tiny_models.make_model(name, bench.seed).bfloat16().save_pretrained(folder, max_shard_size="5KB")
    shards = len(list(folder.glob("model-*.safetensors")))

    def compare(out, report):
        report("shards missing", max(0, 3 - shards), 0)
        report("saved: weights", bfloat16_difference(out / "saved", model), 0)

    bench.add("shards", name, compare, folder=folder)


def check_model(bench, name):
    """Logits, loss and gradients in three layouts; then the folders written here: float32, in shards, bfloat16."""
    model, inputs, folder = bench.write_model(name)

    def compare(out, report):
        compare_results(load_file(out / "results.safetensors"), model, inputs, report, LIMIT)
        expected, weights = packed_logits(model, inputs), dict(model.named_parameters())
        for kind in ("saved", "sharded", "own"):
            saved = tiny_models.load_model(out / kind)
            report("saved: weights", largest_difference(dict(saved.named_parameters()), weights), 0)
            report("saved: logits", relative_difference(packed_logits(saved, inputs), expected), SAVED_LIMIT)
            report("saved: config keys", config_differences(saved, model, is_own=kind == "own"), 0)
        report("bfloat16: weights", bfloat16_difference(out / "bfloat16", model), 0)

    bench.add("model", name, compare, folder=folder, inputs=folder / "inputs.safetensors")


def older_configs(model, config):
    """config.json as transformers 4 wrote it, and the same without the keys that have the default of their class."""
    old = {key: value for key, value in tiny_models.old_config(config).items() if key != "layer_types"}
    plain = tiny_models.old_config({"dtype": "float32", **type(model.config)().to_dict()})
    kept = ("architectures", "model_type", "torch_dtype")
    return {"old": old, "sparse": {key: value for key, value in old.items() if key in kept or plain.get(key) != value}}


def same_meaning(config):
    """Spellings that say the same in another place; `tied` claims a tied head of a model that stores its own."""
    spelled = {"architectures absent": {key: value for key, value in config.items() if key != "architectures"}}
    rope = dict(config["rope_parameters"])
    if "original_max_position_embeddings" in rope:
        original = {"original_max_position_embeddings": rope.pop("original_max_position_embeddings")}
        spelled["original beside"] = {**config, **original, "rope_parameters": rope}
        theta = rope.pop("rope_theta")
        spelled["older place"] = {**config, **original, "rope_theta": theta, "rope_scaling": rope, "rope_parameters": {}}
    if not config["tie_word_embeddings"]:
        spelled["tied"] = {**config, "tie_word_embeddings": True}
    if config["model_type"] == "mistral":
        spelled["layer types"] = {**config, "layer_types": ["sliding_attention"] * config["num_hidden_layers"]}
    return spelled


def check_older_configs(bench, name):
    """Other spellings of the same config.json. transformers, which reads them too, says what they give."""
    model, inputs, folder = bench.write_model(name)
    config = json.loads((folder / "config.json").read_text())
    for spelling, content in {**older_configs(model, config), **same_meaning(config)}.items():
        spelled = bench.folder / f"{name}-{spelling}"
        shutil.copytree(folder, spelled)
        (spelled / "config.json").write_text(json.dumps(content))

        def compare(out, report, spelled=spelled):
            theirs = tiny_models.load_model(spelled)
            report("transformers' own", relative_difference(packed_logits(theirs, inputs), packed_logits(model, inputs)), SAVED_LIMIT)
            compare_results(load_file(out / "results.safetensors"), theirs, inputs, report, LIMIT)

        bench.add("config", f"{name} {spelling}", compare, folder=spelled, inputs=folder / "inputs.safetensors")

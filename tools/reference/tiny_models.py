"""Two-layer random models of every architecture, their inputs in three layouts, and what transformers computes.

Letters: B rows, T positions, V vocabulary, N tokens of all samples. Needs transformers 5.
"""
import json
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from golden import relative_difference
from safetensors_file import load_file

LENGTHS, PROMPTS, PAD_ID = (17, 11, 6), (5, 0, 2), 0
SIZES = {
    "vocab_size": 41,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": PAD_ID,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
# Wavelengths of the 8 frequencies of llama3 run from 6 to 20,000 positions: some lie above 64 / 4 and some above 64 / 1,
# so that all three branches of the scaling are there. Windows are shorter than every tested sample.
ARCHITECTURES = {
    "llama": ("llama", {"num_key_value_heads": 4, "rms_norm_eps": 1e-5}),
    "llama3": (
        "llama",
        {
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
        },
    ),
    "llama-linear": (
        "llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "llama-bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "smollm": (
        "llama",
        {
            "hidden_size": 24, "num_attention_heads": 3, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}, "tie_word_embeddings": True,
        },
    ),
    "mistral": ("mistral", {"sliding_window": 5}),
    "qwen2": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}}),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}),
}


def quiet():
    """One thread, no progress bars."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def make_model(name, seed):
    """A float32 model in evaluation mode: matrices N(0, 0.2^2), norms 1 + N(0, 0.2^2), biases N(0, 0.3^2)."""
    kind, changes = ARCHITECTURES[name]
    config = AutoConfig.for_model(kind, **{**SIZES, **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in key:
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(noise * (0.3 if key.endswith("bias") else 0.2))
    return model


def load_model(folder):
    """Loads a folder in float32; a missing, unexpected or mismatched key is an error."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    wrong = {kind: sorted(map(str, info[kind])) for kind in info if kind.endswith("_keys") and info[kind]}
    if wrong:
        raise ValueError(f"{folder}: {wrong}")
    return model.eval()


def saved_files(model):
    """What `save_pretrained` writes: `{file name: JSON}` and `{tensor name: tensor}`."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        content = {path.name: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}
        (weights,) = Path(folder).glob("*.safetensors")
        return content, load_file(weights)


def old_config(config):
    """The keys transformers 4 wrote for a config of transformers 5: rope_theta, rope_scaling, torch_dtype; no usual head_dim."""
    old = {key: value for key, value in config.items() if key not in ("dtype", "rope_parameters")}
    if old.get("head_dim") == old["hidden_size"] // old["num_attention_heads"]:
        del old["head_dim"]
    scaling = dict(config["rope_parameters"])
    old["rope_theta"] = scaling.pop("rope_theta")
    if config["model_type"] == "llama":
        old["rope_scaling"] = None if scaling["rope_type"] == "default" else scaling
    return {**old, "torch_dtype": config["dtype"], "transformers_version": "4.46.0"}


def make_inputs(vocabulary, seed):
    """Three samples of unlike length as rows padded right, rows padded left, and one packed row.

    Per layout: tokens, labels (labels[t] = tokens[t + 1]; -100 on prompts, padding and the last token), segment (-1 on
    padding) and position (from 0 in each sample), int64 [B, T].
    """
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for number, (length, prompt) in enumerate(zip(LENGTHS, PROMPTS)):
        tokens = torch.randint(3, vocabulary, (length,), generator=generator)
        labels = torch.full_like(tokens, -100)
        labels[max(prompt - 1, 0) : -1] = tokens[max(prompt, 1) :]
        samples.append((tokens, labels, torch.full_like(tokens, number), torch.arange(length)))
    blanks = {"tokens_BT": PAD_ID, "labels_BT": -100, "segment_BT": -1, "position_BT": 0}
    inputs = {}
    for part, (key, blank) in enumerate(blanks.items()):
        rows = [sample[part] for sample in samples]
        padded = [torch.full((max(LENGTHS) - len(row),), blank) for row in rows]
        inputs["right." + key] = torch.stack([torch.cat(pair) for pair in zip(rows, padded)])
        inputs["left." + key] = torch.stack([torch.cat(pair) for pair in zip(padded, rows)])
        inputs["packed." + key] = torch.cat(rows)[None]
    return inputs


def summed_loss(logits_BTV, labels_BT):
    return torch.nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=-100, reduction="sum"
    )


def run_layout(model, inputs, layout):
    """Logits [B, T, V] (zero on padding) and mean loss of a layout; outside `no_grad` gradients are added.

    A packed row is computed sample by sample, so that no mask of ours decides what it should give.
    """
    tokens, labels, segment, position = (
        inputs[f"{layout}.{key}_BT"] for key in ("tokens", "labels", "segment", "position")
    )
    if layout == "packed":
        parts = zip(tokens.split(LENGTHS, dim=1), labels.split(LENGTHS, dim=1))
        outputs = [(model(part).logits, label) for part, label in parts]
        total = sum(summed_loss(logits, label) for logits, label in outputs)
        logits_BTV = torch.cat([logits for logits, _ in outputs], dim=1)
    else:
        there_BT = segment >= 0
        logits_BTV = model(tokens, attention_mask=there_BT.long(), position_ids=position).logits
        total = summed_loss(logits_BTV, labels)
        logits_BTV = logits_BTV * there_BT[:, :, None]
    loss = total / (labels != -100).sum()
    if loss.requires_grad:
        loss.backward()
    return logits_BTV.detach(), loss.item()


def require_close(what, actual, expected, limit=2e-6):
    difference = relative_difference(actual, expected)
    if not difference <= limit:
        raise AssertionError(f"{what}: {difference:.1e}, limit {limit:.0e}")


def run_layouts(model, inputs):
    """Logits of the packed row, gradients and loss; the padded layouts must give the same."""
    logits_NV, loss = run_layout(model, inputs, "packed")
    gradient = gradients(model)
    for layout in ("right", "left"):
        logits_BTV, padded_loss = run_layout(model, inputs, layout)
        there_BT = inputs[layout + ".segment_BT"] >= 0
        require_close(layout + " logits", logits_BTV[there_BT], logits_NV[0])
        require_close(layout + " loss", torch.tensor(padded_loss), torch.tensor(loss))
        for key, value in gradients(model).items():
            require_close(f"{layout} {key}", value, gradient[key])
    return {"logits_BTV": logits_NV, **{"grad." + key: value for key, value in gradient.items()}}, loss


def gradients(model):
    """Copies of the gradients by name; the gradients are cleared."""
    found = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    return found

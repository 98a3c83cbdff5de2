"""Logits, loss and the gradient of every parameter of a two-layer Llama, and a packed row."""
import torch

import tiny_llama as llama
from golden import Case, relative_difference

SOURCES = ["case_llama.py", "tiny_llama.py"]
ROWS, LENGTH, SEGMENTS = 2, 11, (6, 5)
REASON = (
    "float32 sums in another order (threads, BLAS kernels) move a tensor of this size by a few 1e-7; "
    "float64Deviation is what float32 itself costs against the same equations in float64"
)


def run(parameters, config, inputs, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    logits_BTV = llama.logits_from(leaves, llama.hidden_states(leaves, config, inputs["tokens_BT"]))
    loss = llama.mean_loss(logits_BTV, inputs["labels_BT"])
    loss.backward()
    outputs = {"logits_BTV": logits_BTV.detach(), "loss": loss.detach()}
    outputs.update({"grad." + name: leaf.grad for name, leaf in leaves.items()})
    with torch.no_grad():
        hidden_BTD = llama.hidden_states(
            leaves, config, inputs["packed.tokens_BT"], inputs["packed.segment_BT"], inputs["packed.position_BT"]
        )
        outputs["packed.logits_BTV"] = llama.logits_from(leaves, hidden_BTD)
        alone = [
            llama.logits_from(leaves, llama.hidden_states(leaves, config, part))
            for part in inputs["packed.tokens_BT"].split(SEGMENTS, dim=1)
        ]
        assert relative_difference(torch.cat(alone, dim=1), outputs["packed.logits_BTV"]) < 1e-6
    return outputs


def make_case(name, tied, seed):
    config = {**llama.CONFIG, "tie_word_embeddings": tied}
    parameters = llama.init_parameters(config, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    tokens_BT = llama.random_tokens(config, (ROWS, LENGTH), generator)
    labels_BT = llama.next_labels(tokens_BT)
    labels_BT[1, :4] = -100
    inputs = {
        "tokens_BT": tokens_BT,
        "labels_BT": labels_BT,
        "packed.tokens_BT": llama.random_tokens(config, (1, sum(SEGMENTS)), generator),
        "packed.segment_BT": torch.cat([torch.full((n,), k) for k, n in enumerate(SEGMENTS)])[None],
        "packed.position_BT": torch.cat([torch.arange(n) for n in SEGMENTS])[None],
    }
    outputs = run(parameters, config, inputs, torch.float32)
    exact = run(parameters, config, inputs, torch.float64)
    deviation = max(relative_difference(value, exact[key]) for key, value in outputs.items())
    return Case(
        package="adapt", name=name, sources=SOURCES, seed=seed, config=config, reason=REASON, deviation=deviation,
        tensors={"model/model.safetensors": parameters, "tensors.safetensors": {**inputs, **outputs}},
        files={"model/config.json": config}, model="model",
        values={"loss": outputs["loss"].item(), "numLabels": int((labels_BT != -100).sum())},
    )


def cases():
    return [make_case("llama-two-layer", False, 20), make_case("llama-two-layer-tied", True, 30)]

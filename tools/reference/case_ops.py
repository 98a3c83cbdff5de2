"""One small example of every operation that the nn and optim folders are built from.

Tensor names are `<group>.<tensor>`. Where `<group>.grad_y` is stored, the `grad_` tensors are the gradients of
sum(y * grad_y).
"""
import torch
import torch.nn.functional as F

import tiny_llama as llama
from golden import Case, relative_difference

SOURCES = ["case_ops.py", "tiny_llama.py"]
SEED = 50
REASON = "single operations on a few hundred numbers: only the order of float32 sums may differ"
ADAMW_STEPS, CLIP = 5, {"strong": 1.0, "weak": 100.0}
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8}


class Recorder:
    """Draws float32 inputs, so that a float64 run starts from the same numbers, and collects tensors."""

    def __init__(self, dtype):
        self.generator, self.dtype, self.tensors = torch.Generator().manual_seed(SEED), dtype, {}

    def draw(self, name, *shape, scale=1.0, offset=0.0, leaf=True):
        value = (torch.randn(shape, generator=self.generator) * scale + offset).to(self.dtype)
        self.tensors[name] = value
        return value.clone().requires_grad_(leaf)

    def keep(self, name, value):
        self.tensors[name] = value.detach().clone()

    def backward(self, group, y, leaves):
        """Keeps `y`, a random `grad_y` and the gradient of every leaf."""
        self.keep(f"{group}.y", y)
        y.backward(self.draw(f"{group}.grad_y", *y.shape, leaf=False))
        for name, leaf in leaves.items():
            self.keep(f"{group}.grad_{name}", leaf.grad)


def layers(r):
    x, w, b = r.draw("linear.x", 3, 5, 8), r.draw("linear.weight", 6, 8), r.draw("linear.bias", 6)
    r.keep("linear.y_no_bias", F.linear(x, w))
    r.backward("linear", F.linear(x, w, b), {"x": x, "weight": w, "bias": b})

    w = r.draw("embedding.weight", 11, 6)
    ids = torch.tensor([[4, 0, 10, 4], [7, 4, 1, 0]])
    r.keep("embedding.ids", ids)
    r.backward("embedding", F.embedding(ids, w), {"weight": w})

    x, w = r.draw("rms_norm.x", 2, 5, 8, scale=2.0), r.draw("rms_norm.weight", 8, scale=0.2, offset=1.0)
    r.backward("rms_norm", llama.rms_norm(x, w, 1e-5), {"x": x, "weight": w})

    gate, up = r.draw("silu_mul.gate", 2, 5, 8, scale=2.0), r.draw("silu_mul.up", 2, 5, 8)
    r.backward("silu_mul", F.silu(gate) * up, {"gate": gate, "up": up})


def attention(r):
    rows, length, heads, groups, size = 2, 7, 4, 2, 6
    position_BT = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 0, 1, 2, 3]])
    segment_BT = torch.tensor([[0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 2, 2, 2, 2]])
    r.keep("rotary.position_BT", position_BT)
    cos_BTE, sin_BTE = llama.rotary_tables(position_BT, size, 10000.0, r.dtype)
    r.keep("rotary.cos_BTE", cos_BTE)
    r.keep("rotary.sin_BTE", sin_BTE)
    x = r.draw("rotary.x_BHTE", rows, heads, length, size)
    r.backward("rotary", llama.rotate(x, cos_BTE, sin_BTE), {"x": x})

    causal_TT = torch.ones(length, length, dtype=torch.bool).tril()
    masks = {"causal": causal_TT.expand(rows, length, length), "packed": llama.attention_mask(segment_BT)}
    r.keep("attention_packed.segment_BT", segment_BT)
    for kind, mask_BTT in masks.items():
        group = "attention_" + kind
        r.keep(f"{group}.mask_BTT", mask_BTT)
        query = r.draw(f"{group}.query_BHTE", rows, heads, length, size)
        key = r.draw(f"{group}.key_BKTE", rows, groups, length, size)
        value = r.draw(f"{group}.value_BKTE", rows, groups, length, size)
        y = llama.attention(query, key, value, mask_BTT)
        r.backward(group, y, {"query": query, "key": key, "value": value})


def cross_entropy(r):
    logits_NV = r.draw("cross_entropy.logits_NV", 7, 11, scale=2.0)
    labels_N = torch.tensor([3, -100, 0, 10, 5, -100, 5])
    weight_N = torch.tensor([1.0, 0.5, 0.25, 2.0, 0.0, 1.0, 0.75], dtype=r.dtype)
    r.keep("cross_entropy.labels_N", labels_N)
    r.keep("cross_entropy.weight_N", weight_N)
    loss_N = F.cross_entropy(logits_NV, labels_N, ignore_index=-100, reduction="none")
    r.keep("cross_entropy.loss_N", loss_N)
    r.keep("cross_entropy.loss_mean", F.cross_entropy(logits_NV, labels_N, ignore_index=-100))
    total = (loss_N * weight_N).sum()
    r.keep("cross_entropy.weighted_sum", total)
    total.backward()
    r.keep("cross_entropy.grad_logits_NV", logits_NV.grad)


def optimizers(r):
    shapes = {"matrix": (4, 3), "vector": (5,)}
    start = {name: r.draw(f"adamw.{name}.start", *shape, leaf=False) for name, shape in shapes.items()}
    grads = {
        name: [r.draw(f"adamw.{name}.grad_{step}", *shape, scale=0.3, leaf=False) for step in range(ADAMW_STEPS)]
        for name, shape in shapes.items()
    }
    for kind, decay in (("plain", 0.0), ("decay", 0.1)):
        leaves = {name: value.clone().requires_grad_(True) for name, value in start.items()}
        optimizer = torch.optim.AdamW(list(leaves.values()), weight_decay=decay, **ADAMW)
        for step in range(ADAMW_STEPS):
            for name, leaf in leaves.items():
                leaf.grad = grads[name][step].clone()
            optimizer.step()
            for name, leaf in leaves.items():
                r.keep(f"adamw_{kind}.{name}.after_{step}", leaf)
        for name, leaf in leaves.items():
            r.keep(f"adamw_{kind}.{name}.exp_avg", optimizer.state[leaf]["exp_avg"])
            r.keep(f"adamw_{kind}.{name}.exp_avg_sq", optimizer.state[leaf]["exp_avg_sq"])

    start = {name: r.draw(f"clip.{name}.grad", *shape, leaf=False) for name, shape in shapes.items()}
    for kind, limit in CLIP.items():
        leaves = [torch.zeros_like(value).requires_grad_(True) for value in start.values()]
        for leaf, value in zip(leaves, start.values()):
            leaf.grad = value.clone()
        r.keep(f"clip_{kind}.norm", torch.nn.utils.clip_grad_norm_(leaves, limit))
        for name, leaf in zip(start, leaves):
            r.keep(f"clip_{kind}.{name}.grad", leaf.grad)


def record(dtype):
    r = Recorder(dtype)
    for part in (layers, attention, cross_entropy, optimizers):
        part(r)
    return r.tensors


def cases():
    tensors, exact = record(torch.float32), record(torch.float64)
    deviation = max(relative_difference(tensors[key], exact[key]) for key in tensors)
    config = {
        "rmsNorm": {"eps": 1e-5},
        "rotary": {"theta": 10000.0, "headSize": 6},
        "attention": {"rows": 2, "length": 7, "heads": 4, "keyValueHeads": 2, "headSize": 6},
        "adamw": {**ADAMW, "steps": ADAMW_STEPS, "weightDecay": {"plain": 0.0, "decay": 0.1}},
        "clip": {"maxNorm": CLIP},
    }
    return [Case(
        package="torch", name="ops", sources=SOURCES, seed=SEED, config=config, reason=REASON,
        deviation=deviation, tensors={"tensors.safetensors": tensors},
    )]

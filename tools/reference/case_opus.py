"""OPUS on a two-layer Llama: gradients of every sample by autograd, one at a time, divided as AdamW would divide them.

Weights of update-match follow from the same products. Second moments are made up from the parameters, so that both sides have the same: v = (p / 10)^2.
"""
import math

import torch

import tiny_llama as llama
from case_greats import layer_gradient, pick
from golden import Case

SOURCES = ["case_opus.py", "case_greats.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 127, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, NUM_ANCHORS = 8, 3
RATE, BETA1, BETA2, EPSILON, UPDATES = 0.02, 0.9, 0.95, 1e-8, 10
FLOORS = (1e-4, 0.5)
WINDOW = 6
REASON = "float32 sums over positions in another order; picks are far from ties (gap)"


def update_factor(rate, beta1, beta2, updates):
    return rate * (1 - beta1) * math.sqrt(1 - beta2**updates) / (1 - beta1**updates)


def divisors(moment, floor):
    return 1 / (torch.clamp(moment, min=floor * moment.mean().item()).sqrt() + EPSILON)


def check_worked_example():
    a1, e1 = torch.tensor([[1.0, 2], [0, 1]]), torch.tensor([[0.5, -1], [0.2, 0.4]])
    a2, e2 = torch.tensor([[1.0, 0], [2, 1]]), torch.tensor([[0.1, 0.3], [-0.2, 0.5]])
    av, ev = torch.tensor([[1.0, 1], [0, 1]]), torch.tensor([[0.3, -0.2], [0.1, 0.1]])
    scale = divisors(torch.tensor([[1e-2, 4e-2], [1e-4, 9e-4]]), 1e-4)
    g1, g2, gv = e1.T @ a1, e2.T @ a2, ev.T @ av
    c = update_factor(2e-3, 0.9, 0.95, 10)
    found = [c / 2 * (scale * g * gv).sum().item() for g in (g1, g2)]
    assert max(abs(x - y) for x, y in zip(found, (2.843133e-3, -2.817197e-3))) < 1e-8, found


def nonnegative_weights(scores, products):
    """min w'Sw / 2 - s'w over w >= 0: every set of samples that may have a weight is tried."""
    s, S = torch.tensor(scores, dtype=torch.float64), torch.tensor(products, dtype=torch.float64)
    best, least = torch.zeros_like(s), 0.0
    for code in range(1, 2 ** len(scores)):
        own = [i for i in range(len(scores)) if code >> i & 1]
        w = torch.zeros_like(s)
        w[own] = torch.linalg.solve(S[own][:, own], s[own])
        value = (w @ S @ w / 2 - s @ w).item()
        if w.min() >= 0 and value < least:
            best, least = w, value
    return best.tolist()


def window_gradient(leaves, config, ids):
    """Of the first tokens, each of which predicts the next: one more is read to be predicted."""
    return layer_gradient(leaves, config, ids[: WINDOW + 1], 0)


def cases():
    check_worked_example()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count, low, high):
        lengths = torch.randint(low, high, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES, 3, 14), draw(NUM_ANCHORS, 4, 9)
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    names = [name for name in leaves if "_proj" in name]
    factor = update_factor(RATE, BETA1, BETA2, UPDATES)

    def of_layers(make):
        return torch.cat([make(leaves[name].detach()).reshape(-1) for name in names])

    # A sample that is longer than the window is scored from its first token on: 128 more would be the next start.
    gradients = {
        "whole": [layer_gradient(leaves, config, ids, 0) for ids in samples],
        "window": [window_gradient(leaves, config, ids) for ids in samples],
    }
    targets = {
        "whole": sum(layer_gradient(leaves, config, ids, 0) for ids in anchors) / NUM_ANCHORS,
        "window": sum(window_gradient(leaves, config, ids) for ids in anchors) / NUM_ANCHORS,
    }
    runs = []
    for part, precondition, floor in (
        ("whole", "adamw", FLOORS[0]), ("whole", "adamw", FLOORS[1]), ("whole", "none", 0.0), ("window", "adamw", FLOORS[0]),
    ):
        if precondition == "adamw":
            scale = of_layers(lambda p: factor / math.sqrt(p.numel()) * divisors((p / 10) ** 2, floor))
        else:
            scale = of_layers(lambda p: torch.full_like(p, RATE))
        updates = [scale * g for g in gradients[part]]
        scores = [(u @ targets[part]).item() for u in updates]
        products = [[(u @ w).item() for w in updates] for u in updates]
        picked, gap = pick(scores, products, NUM_SAMPLES // 2)
        assert gap > 1e-4 * max(map(abs, scores)), gap
        kept = sorted(picked)
        among = nonnegative_weights([scores[i] for i in kept], [[products[i][j] for j in kept] for i in kept])
        weights = [among[kept.index(i)] if i in kept else 0.0 for i in range(NUM_SAMPLES)]
        runs.append({
            "weights": weights, "part": part, "precondition": precondition, "floor": floor, "scores": scores, "products": products,
            "picked": picked, "gap": gap,
        })
    values = {
        "rate": RATE, "beta1": BETA1, "beta2": BETA2, "updates": UPDATES, "window": WINDOW,
        "samples": [ids.tolist() for ids in samples], "anchors": [ids.tolist() for ids in anchors], "runs": runs,
    }
    return [Case(
        "adapt", "opus", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model", tolerance=2e-5,
    )]

"""GREATS on a two-layer Llama: gradients of every sample by autograd, one at a time, and a loop that picks.

The gradient of a sample is that of its mean loss, over the matrices of the blocks: embedding, head and norms are left out.
"""
import torch

import tiny_llama as llama
from golden import Case

SOURCES = ["case_greats.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 97, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, NUM_ANCHORS, ETA = 8, 2, 0.05
REASON = "float32 sums over positions in another order; picks are far from ties (smallestGap)"


def layer_gradient(leaves, config, ids, prompt):
    """One vector: the matrices of the blocks one after another."""
    labels = llama.next_labels(ids[None])
    labels[0, : max(prompt - 1, 0)] = -100
    hidden = llama.hidden_states(leaves, config, ids[None])
    names = [name for name in leaves if "_proj" in name]
    loss = llama.mean_loss(llama.logits_from(leaves, hidden), labels)
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, [leaves[name] for name in names])])


def pick(scores, products, count):
    """Scores and products are lists of numbers; the place of each pick, and how far the next best was."""
    left, picked, gaps = dict(enumerate(scores)), [], []
    for _ in range(count):
        order = sorted(left, key=lambda i: -left[i])
        best = order[0]
        if len(order) > 1:
            gaps.append(left[best] - left[order[1]])
        picked.append(best)
        del left[best]
        for i in left:
            left[i] -= products[best][i]
    return picked, min(gaps)


def check_worked_examples():
    products = [[1, 0.8, 0.1, 0], [0.8, 1, 0.1, 0], [0.1, 0.1, 1, 0.2], [0, 0, 0.2, 1]]
    for eta, expected in ((1, [0, 2]), (0.1, [0, 1]), (2e-5, [0, 1])):
        scores = [eta * s for s in (1, 0.9, 0.8, 0.3)]
        assert pick(scores, [[eta * eta * j for j in row] for row in products], 2)[0] == expected


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(4, 14, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES), draw(NUM_ANCHORS)
    prompts = [0, 2, 0, 3, 0, 0, 2, 0]
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    gradients = [layer_gradient(leaves, config, ids, prompt) for ids, prompt in zip(samples, prompts)]
    target = sum(layer_gradient(leaves, config, ids, 0) for ids in anchors) / NUM_ANCHORS
    values = {"eta": ETA, "samples": [], "anchors": [ids.tolist() for ids in anchors], "runs": []}
    values["samples"] = [{"tokens": ids.tolist(), "prompt": prompt} for ids, prompt in zip(samples, prompts)]
    for eta in (ETA, 1.0):
        scores = [(eta * (g @ target)).item() for g in gradients]
        products = [[(eta * eta * (g @ h)).item() for h in gradients] for g in gradients]
        picked, gap = pick(scores, products, NUM_SAMPLES // 2)
        assert gap > 1e-4 * max(map(abs, scores)), gap
        values["runs"].append({"eta": eta, "scores": scores, "products": products, "picked": picked, "gap": gap})
    assert values["runs"][0]["picked"] != values["runs"][1]["picked"]  # what is shared decides
    return [Case(
        "adapt", "greats", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model",
        tolerance=1e-5,
    )]

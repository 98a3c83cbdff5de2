"""LESS on a two-layer Llama: the gradient of every sample by autograd over all parameters, one at a time, and cosines in a loop.

Two checkpoints have the same weights and moments of their own, which are functions of a parameter's name and of the place in it, so that they
need not be stored. Gradients are not projected: what is compared is everything else.
"""
import math

import torch

import tiny_llama as llama
from golden import Case

SOURCES = ["case_less.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 101, 20  # the parameters are those of llama-two-layer
RATES = (3e-4, 1e-4)
TASKS = ("law", "sql", "law", "tea", "sql")
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
REASON = "float32 gradients, divided by roots of moments of 1e-8"


def moments(name, shape, checkpoint):
    """m and v of one parameter, float32 as a checkpoint has them."""
    place = torch.arange(math.prod(shape), dtype=torch.float64)
    first = 1e-3 * torch.sin(0.7 * place + len(name) + checkpoint)
    second = 1e-6 * (1 + torch.cos(0.3 * place + checkpoint)) ** 2
    return first.float().double().reshape(shape), second.float().double().reshape(shape)


def gradient(leaves, config, ids, prompt):
    labels = llama.next_labels(ids[None])
    labels[0, : max(prompt - 1, 0)] = -100
    hidden = llama.hidden_states(leaves, config, ids[None])
    loss = llama.mean_loss(llama.logits_from(leaves, hidden), labels)
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()))))


def adam(gradients, checkpoint, place_of_epsilon):
    directions = {}
    for name, g in gradients.items():
        m, v = moments(name, g.shape, checkpoint)
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
        directions[name] = m / (v + EPSILON).sqrt() if place_of_epsilon == "inside" else m / (v.sqrt() + EPSILON)
    return directions


def cosine(a, b):
    dot = sum((a[name] * b[name]).sum() for name in a)
    lengths = [math.sqrt(sum((x[name] ** 2).sum().item() for name in x)) for x in (a, b)]
    return dot.item() / lengths[0] / lengths[1]


def influence(by_checkpoint, rates, tasks):
    """[checkpoint][sample][anchor] -> score of each sample: the mean inside a task, then the best task."""
    total = sum(rates)
    scores = []
    for sample in range(len(by_checkpoint[0])):
        best = -math.inf
        for task in sorted(set(tasks)):
            members = [v for v, name in enumerate(tasks) if name == task]
            value = 0.0
            for rate, dots in zip(rates, by_checkpoint):
                value += rate / total * sum(dots[sample][v] for v in members) / len(members)
            best = max(best, value)
        scores.append(best)
    return scores


def check_worked_example():
    m, v = torch.tensor([0.01, -0.02, 0]).double(), torch.tensor([1e-4, 4e-4, 1e-6]).double()
    g = torch.tensor([0.1, 0.05, -0.02]).double()
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    direction = m / (v + 1e-8).sqrt()
    assert torch.allclose(direction, torch.tensor([1.812320, -0.648292, -1.684901]).double(), atol=1e-5)
    assert abs((m / (v.sqrt() + 1e-8))[2].item() + 1.690898) < 1e-5
    first = [[0.797932, -0.483845, -0.990430, 0.960957]]
    assert abs(influence([first, [[0.5, 0.1, -0.2, 0.4]]], (3, 1), ("a", "a", "b", "b"))[0] - 0.192782) < 1e-6


def cases():
    check_worked_example()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(4, 12, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(7), draw(len(TASKS))
    prompts = [0, 2, 0, 3, 0, 0, 2]
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    train = [gradient(leaves, config, ids, prompt) for ids, prompt in zip(samples, prompts)]
    target = [gradient(leaves, config, ids, 0) for ids in anchors]
    scores = {}
    for kind in ("inside", "outside", "sgd"):
        dots = []
        for checkpoint in range(len(RATES)):
            rows = [g if kind == "sgd" else adam(g, checkpoint, kind) for g in train]
            dots.append([[cosine(row, v) for v in target] for row in rows])
        scores[kind] = influence(dots, RATES, TASKS)
    values = {
        "rates": list(RATES),
        "samples": [{"tokens": ids.tolist(), "prompt": prompt} for ids, prompt in zip(samples, prompts)],
        "anchors": [{"task": task, "tokens": ids.tolist()} for task, ids in zip(TASKS, anchors)],
        "scores": scores,
    }
    return [Case(
        "adapt", "less", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model",
        tolerance=1e-4,
    )]

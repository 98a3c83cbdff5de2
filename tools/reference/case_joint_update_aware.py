"""Joint-update-aware weights on a two-layer Llama: each sample alone, plain loops over samples, in float64.

z is the unit state of the last token, u the direction of the mean state of the anchors; the weights come from a damped softmax iteration.
"""
import math

import torch

import tiny_llama as llama
from golden import Case

SOURCES = ["case_joint_update_aware.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 113, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, NUM_ANCHORS = 7, 3
REASON = "float32 states; the temperature of 0.05 widens their rounding twentyfold"
RUNS = (
    {"beta": 0.1, "tau": 0.05, "iterations": 5, "damping": 1.0, "target": "centroid"},
    {"beta": 1.0, "tau": 0.2, "iterations": 50, "damping": 0.5, "target": "centroid"},
    {"beta": 0.1, "tau": 0.05, "iterations": 5, "damping": 1.0, "target": "rotating"},
    {"beta": 0.5, "tau": 0.1, "iterations": 5, "damping": 1.0, "target": "none"},
)


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def simplex_weights(s, z, beta, tau, iterations, damping):
    count = len(s)
    w = [1 / count] * count
    for _ in range(iterations):
        raised = [math.exp((s[i] - beta * sum(w[j] * dot(z[i], z[j]) for j in range(count))) / tau) for i in range(count)]
        w = [(1 - damping) * w[i] + damping * raised[i] / sum(raised) for i in range(count)]
    return w


def check_worked_examples():
    z, u = [(0.96, 0.28), (0.8, 0.6), (0.9, 0.4358899), (0, 1)], (0.8, 0.6)
    w = simplex_weights([dot(u, x) for x in z], z, 0.1, 0.05, 5, 1.0)
    assert all(abs(a - b) < 1e-6 for a, b in zip(w, (0.146877, 0.505967, 0.346706, 0.000450))), w


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(3, 12, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES), draw(NUM_ANCHORS)
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    last = [llama.hidden_states(leaves, config, ids[None])[0, -1].tolist() for ids in samples + anchors]
    losses = [
        llama.mean_loss(
            llama.logits_from(leaves, llama.hidden_states(leaves, config, ids[None])), llama.next_labels(ids[None])
        ).item()
        for ids in samples
    ]
    z, states = [unit(x) for x in last[:NUM_SAMPLES]], last[NUM_SAMPLES:]
    targets = {
        "centroid": unit([sum(column) / NUM_ANCHORS for column in zip(*states)]),
        "rotating": unit(states[0]),
        "none": [0.0] * len(states[0]),
    }
    runs = []
    for run in RUNS:
        s = [dot(targets[run["target"]], x) for x in z]
        w = simplex_weights(s, z, run["beta"], run["tau"], run["iterations"], run["damping"])
        runs.append({**run, "scores": s, "weights": w, "loss": sum(a * b for a, b in zip(w, losses))})
    values = {"samples": [x.tolist() for x in samples], "anchors": [x.tolist() for x in anchors], "runs": runs}
    return [Case(
        "adapt", "joint-update-aware", SOURCES, SEED, config, REASON, {}, values=values,
        model="../llama-two-layer/model", tolerance=2e-5,
    )]

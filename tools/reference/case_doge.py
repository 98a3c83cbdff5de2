"""DoGE's proxy: weights of sources from their gradients, with the gradients themselves in hand, written from the equations.

Gradients of the mean losses of samples are made up; a gate is given their products alone.
"""
import math

import torch

from golden import Case

SOURCES = ["case_doge.py"]
SEED, STEPS, SAMPLES, WIDTH = 86, 8, 9, 5
SETTINGS = {"mu": 0.05, "clip": 1.0, "mostScore": 5.0, "smoothing": 0.02}
TARGETS = {"all": (0, 1, 2), "last": (2,)}
REASON = "products of gradients are handed over as float32; everything behind them is in float64"


def dot(x, y):
    return math.fsum(a * b for a, b in zip(x, y))


def norm(x):
    return math.sqrt(dot(x, x))


def scores(gradients, targets, by_mean_norm=True):
    """W of each source that has a gradient; None for the others."""
    there = [g for g in gradients if g is not None]
    toward = [math.fsum(gradients[i][k] for i in targets if gradients[i] is not None) for k in range(len(there[0]))]
    divisor = math.fsum(norm(g) for g in there) / len(there) + 1e-6 if by_mean_norm else 1.0
    return [None if g is None else dot(g, toward) / divisor for g in gradients]


def update(alpha, values, rate, mu, most, smoothing):
    raised = [a * math.exp(rate * min(max(v, 0.0), most) / mu) for a, v in zip(alpha, values)]
    total = math.fsum(raised)
    return [(1 - smoothing) * r / total + smoothing / len(alpha) for r in raised]


def make_steps():
    generator = torch.Generator().manual_seed(SEED)
    directions = torch.randn(3, WIDTH, dtype=torch.float64, generator=generator)
    steps = []
    for step in range(STEPS):
        # The second step has no sample of the last source.
        source = torch.randint(0, 2 if step == 1 else 3, (SAMPLES,), generator=generator).tolist()
        noise = torch.randn(SAMPLES, WIDTH, dtype=torch.float64, generator=generator)
        scale = (0.3, 1.5, 0.8)
        gradients = [(scale[s] * (directions[s] + 0.5 * noise[i])).float().double().tolist() for i, s in enumerate(source)]
        labels = torch.randint(1, 30, (SAMPLES,), generator=generator).tolist()
        steps.append({"source": source, "labels": labels, "gradients": gradients, "rate": 0.02 / (1 + step)})
    return steps


def run(steps, targets):
    alpha, last, history, records = [1 / 3] * 3, [0.0] * 3, [], []
    for step in steps:
        own = []
        for j in range(3):
            places = [i for i, s in enumerate(step["source"]) if s == j]
            count = sum(step["labels"][i] for i in places)
            if not places:
                own.append(None)
                continue
            mean = [math.fsum(step["labels"][i] * step["gradients"][i][k] for i in places) / count for k in range(WIDTH)]
            factor = min(1.0, SETTINGS["clip"] / norm(mean))
            own.append([factor * x for x in mean])
        found = scores(own, targets)
        last = [before if now is None else now for before, now in zip(last, found)]
        alpha = update(alpha, last, step["rate"], SETTINGS["mu"], SETTINGS["mostScore"], SETTINGS["smoothing"])
        history.append(alpha)
        direction = [math.fsum(alpha[j] * own[j][k] for j in range(3) if own[j] is not None) for k in range(WIDTH)]
        mean = [math.fsum(column) / len(history) for column in zip(*history)]
        records.append({"alpha": alpha, "mean": mean, "direction": direction})
    return records


def check_worked_examples():
    def close(actual, expected):
        assert all(abs(a - b) < 1e-6 for a, b in zip(actual, expected)), (actual, expected)

    gradients = [(1.0, 0.0, 0.5), (0.2, 0.8, 0.0), (-0.3, 0.4, 0.1)]
    close(scores(gradients, (0, 1, 2), by_mean_norm=False), (1.20, 1.14, 0.27))
    close([sum(norm(g) for g in gradients) / 3], [0.817519])
    values = scores(gradients, (0, 1, 2))
    close([5e-4 * v for v in values], (7.339e-4, 6.972e-4, 1.651e-4))
    close(update([1 / 3] * 3, values, 5e-4, 0.05, 5, 0), (0.334677, 0.334432, 0.330891))
    close(update([1 / 3] * 3, values, 5e-4, 0.01, 5, 0), (0.340015, 0.338770, 0.321215))
    plain = scores(gradients, (0, 1, 2), by_mean_norm=False)
    close(update([1 / 3] * 3, plain, 5e-4, 0.05, 5, 0), (0.334432, 0.334232, 0.331336))


def cases():
    check_worked_examples()
    steps = make_steps()
    results = {name: run(steps, targets) for name, targets in TARGETS.items()}
    values = {"config": SETTINGS, "steps": steps, "results": results}
    return [Case("adapt", "doge", SOURCES, SEED, SETTINGS, REASON, {}, values=values, tolerance=1e-6)]

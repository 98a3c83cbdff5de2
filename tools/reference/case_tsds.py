"""TSDS: probabilities by transport to anchors, from unit vectors in plain lists; and those of a pool that a two-layer Llama embeds.

Distances, kernels and the walk are loops over Python floats; the anchor that goes next is searched for in a list.
"""
import math

import torch

import tiny_llama as llama
from case_adapt_step import pooled, unit
from golden import Case

SOURCES = ["case_tsds.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 57, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, NUM_ANCHORS = 40, 4
SETTINGS = (
    dict(neighbors=5000, densityNeighbors=1000, sigma=0.75, alpha=0.6, costScale=5.0, center=True),
    dict(neighbors=12, densityNeighbors=5, sigma=0.9, alpha=0.7, costScale=0.5, center=True),
    dict(neighbors=5000, densityNeighbors=1000, sigma=0.0, alpha=0.5, costScale=0.2, center=False),
)
REASON = "float32 vectors; distances of a few 1e-4 between near samples, and the walk is far from ties"


def distance(a, b):
    return math.sqrt(max(0.0, 2 - 2 * math.fsum(x * y for x, y in zip(a, b))))


def centred(rows, mean):
    moved = [[x - m for x, m in zip(row, mean)] for row in rows]
    return [[x / math.sqrt(math.fsum(y * y for y in row)) for x in row] for row in moved]


def walk(near, inverse, alpha, scale):
    """near: for every anchor its neighbours as (distance, candidate), ascending."""
    anchors = range(len(near))
    rank = [0] * len(near)  # the neighbour that each stands at
    gathered = [inverse[near[j][0][1]] for j in anchors]
    cost = [0.0] * len(near)
    last = [0] * len(near)
    waiting = set(anchors)
    count = 0.0
    while waiting:
        j = min(waiting, key=lambda a: (gathered[a], rank[a], a))
        count, k = gathered[j], rank[j]
        spent = math.fsum(near[j][i][0] * inverse[near[j][i][1]] for i in range(k + 1))
        cost[j] = near[j][k + 1][0] * count - spent
        if alpha / scale * math.fsum(cost) >= (1 - alpha) * len(near):
            break
        last[j] = k
        if k + 2 < len(near[j]):
            rank[j] = k + 1
            gathered[j] = count + inverse[near[j][k + 1][1]]
        else:
            waiting.remove(j)
    return last, count


def probabilities(candidates, anchors, neighbors, densityNeighbors, sigma, alpha, costScale, center):
    if center:
        mean = [math.fsum(column) / len(candidates) for column in zip(*candidates)]
        candidates, anchors = centred(candidates, mean), centred(anchors, mean)
    near = [sorted((distance(a, x), i) for i, x in enumerate(candidates))[:neighbors] for a in anchors]
    reachable = sorted({i for row in near for _, i in row})
    inverse = {}
    for i in reachable:
        squares = sorted(distance(candidates[i], candidates[k]) ** 2 for k in reachable)[:densityNeighbors]
        inverse[i] = 1 / math.fsum(max(0.0, 1 - s / sigma**2) for s in squares) if sigma else 1.0
    last, count = walk(near, inverse, alpha, costScale)
    result = [0.0] * len(candidates)
    for row, end in zip(near, last):
        parts = [inverse[i] / (len(near) * count) for _, i in row[: end + 1]]
        for (_, i), part in zip(row, parts):
            result[i] += part
        result[row[end + 1][1]] += max(0.0, 1 / len(near) - math.fsum(parts))
    total = math.fsum(result)
    return [p / total for p in result], last, count


def check_worked_example():
    points, anchors = (0, 0.1, 0.5, 1, 2), (0, 1.2)
    near = [sorted((abs(a - x), i) for i, x in enumerate(points)) for a in anchors]
    density = [sum(max(0, 1 - (x - y) ** 2 / 0.75**2) for y in points) for x in points]
    last, count = walk(near, {i: 1 / d for i, d in enumerate(density)}, 0.6, 0.5)
    assert last == [0, 0] and abs(count - 0.764721) < 1e-6, (last, count)


def cases():
    check_worked_example()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(1, 15, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES), draw(NUM_ANCHORS)
    samples[7] = samples[3].clone()  # one is there twice
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    with torch.no_grad():
        unit_PD, unit_VD = (
            torch.stack([unit(pooled(llama.hidden_states(leaves, config, ids[None])[0])) for ids in texts])
            .to(torch.float32).tolist()
            for texts in (samples, anchors)
        )
    settings = []
    for options in SETTINGS:
        found, last, count = probabilities(unit_PD, unit_VD, **options)
        settings.append({"options": options, "probabilities": found, "lastRanks": last, "gathered": count})
    values = {
        "samples": [ids.tolist() for ids in samples], "anchorTokens": [ids.tolist() for ids in anchors],
        "candidates": unit_PD, "anchors": unit_VD, "settings": settings,
    }
    return [Case("adapt", "tsds", SOURCES, SEED, {"samples": NUM_SAMPLES, "anchors": NUM_ANCHORS}, REASON, {},
                 values=values, tolerance=1e-5, model="../llama-two-layer/model")]

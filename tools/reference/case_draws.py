"""Draws of samples by the losses of a pool: bands and windows, and the order in which weighted samples come.

Written with numpy's quantiles and a loop over samples, apart from the program under test. Parts of the pool are scored at each draw; weights of a part
are relative to its mean, and a sample that is not in it keeps its own.
"""
import math
import random

import numpy as np

from case_random import stream
from golden import Case

SOURCES = ["case_draws.py", "case_random.py"]
SEED, POOL, DRAWS, NOISE_STREAM = 17, 30, 5, 2**34
BANDS = ({}, {"focus": "high", "temperature": 0.5}, {"focus": "low", "bandWeight": 3, "lowerQuantile": 0.2, "upperQuantile": 0.5})
WINDOWS = ({}, {"windowShare": 0.35, "outsideWeight": 0, "steepness": 4})
REASON = "sums, quantiles and logarithms in float64, weights stored in float32"


def band(losses, focus="medium", bandWeight=5.0, lowerQuantile=0.33, upperQuantile=0.66, temperature=1.0):
    low, high = np.quantile(losses, [lowerQuantile, upperQuantile])
    weights = []
    for loss in losses:
        name = "low" if loss <= low else "medium" if loss <= high else "high"
        weights.append(bandWeight ** (1 / temperature) if name == focus else 1.0)
    return weights


def window(falls, ids, update, updates, windowShare=0.2, outsideWeight=0.025, steepness=10.0):
    count = len(falls)
    if update == 0:
        return [1.0] * count
    ranked = sorted(zip(falls, ids), key=lambda pair: (-pair[0], pair[1]))
    x = (count - windowShare * count) / (1 + math.exp(-steepness * (update / updates - 0.5)))
    inside = set()
    for place in range(int(x), int(x + windowShare * count)):
        if ranked[place][0] < 0:
            break
        inside.add(ranked[place][1])
    if not inside:
        return [1.0] * count
    return [1.0 if sample in inside else outsideWeight for sample in ids]


def update_pool(pool, ids, weights):
    mean = math.fsum(weights) / len(weights)
    for sample, weight in zip(ids, weights):
        pool[sample] = weight / mean


def order(weights, seed, number, passes):
    found = []
    for turn in range(passes):
        numbers = stream([seed, number, turn, NOISE_STREAM])
        keys = []
        for weight in weights:
            uniform = (next(numbers) * 2**21 + (next(numbers) >> 11) + 0.5) / 2**53
            keys.append(-math.log(uniform) / weight if weight > 0 else math.inf)
        some = [i for i, weight in enumerate(weights) if weight > 0]
        found.append(sorted(some, key=lambda i: (keys[i], i)))
    return found


def cases():
    draw = random.Random(SEED)
    start = [draw.uniform(0.5, 6) for _ in range(POOL)]
    ids = list(range(POOL))
    shuffled = draw.sample(ids, POOL)
    parts = [sorted(shuffled[(k * 12 + i) % POOL] for i in range(12)) for k in range(DRAWS)]
    # Losses fall, some rise; as float32, which the program is given.
    losses = [
        [float(np.float32(loss * (1 - 0.15 * k) + draw.uniform(-0.3, 0.3))) for loss in start] for k in range(DRAWS)
    ]
    bands, windows = [], []
    for options in BANDS:
        pool, after = [1.0] * POOL, []
        for part, now in zip(parts, losses):
            update_pool(pool, part, band([now[i] for i in part], **options))
            after.append(list(pool))
        bands.append(after)
    watched = parts[0]
    for options in WINDOWS:
        pool, after = [1.0] * POOL, []
        for k, now in enumerate(losses):
            falls = [float(np.float32(losses[0][i]) - np.float32(now[i])) for i in watched]
            update_pool(pool, watched, window(falls, watched, k, DRAWS - 1, **options))
            after.append(list(pool))
        windows.append(after)
    weights = [float(np.float32(w)) for w in bands[1][-1]]
    weights[4] = 0.0
    values = {
        "losses": losses, "parts": parts, "watched": watched,
        "bandOptions": BANDS, "bands": bands, "windowOptions": WINDOWS, "windows": windows,
        "weights": weights, "orders": {str(n): order(weights, SEED, n, 2) for n in (0, 3)},
    }
    config = {"pool": POOL, "draws": DRAWS, "seed": SEED}
    return [Case("adapt", "draws", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-6)]

"""Scores whose part within a source is shrunk to its reliability, written from the equations on given embeddings, in float64.

s' = m_g + r (s - m_g). At a refresh every sample seen so far is scored again: m_g is the mean of source g, and r comes from the scores under two
halves of the anchors, as the correlation of what is left without the means of the sources, corrected for the length of a half and cut to [0, 1].
Also epsilon squared of the ranks: the share of their variance that lies between sources. Loops over samples.

Which anchors are a first half is an input here: the product draws it by a keyed permutation, and its test compares.
"""
import math

import torch

from golden import Case

SOURCES = ["case_score_shrinkage.py"]
SEED, WIDTH, REFRESH = 71, 5, 2
SAMPLES = (6, 5, 7, 6, 8)  # of each step
TASKS = ["x", "y", "x", "y", "x", "y"]  # of each anchor
FIRST_HALF = {"micro": [0, 1, 2], "max": [0, 1, 2, 3]}
NAMES = ["near", "far", "late"]
REASON = "the embeddings are given; float32 holds them and the scores"


def unit(vector):
    return vector / vector.norm()


def mean_of(rows):
    total = torch.zeros_like(rows[0])
    for row in rows:
        total = total + row
    return total / len(rows)


def score(x, anchors, tasks, aggregate, mean):
    cosines = [(unit(x - mean) @ unit(v - mean)).item() for v in anchors]
    if aggregate == "micro":
        return sum(cosines) / len(cosines)
    of_task = {task: [c for c, other in zip(cosines, tasks) if other == task] for task in tasks}
    return max(sum(own) / len(own) for own in of_task.values())


def means_by_source(scores, sources):
    return {g: sum(own) / len(own) for g in sources if (own := [s for s, source in zip(scores, sources) if source == g])}


def reliability(first, second, sources):
    left = []
    for scores in (first, second):
        means = means_by_source(scores, sources)
        left.append([s - means[g] for s, g in zip(scores, sources)])
    a, b = left
    rho = sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return min(1.0, max(0.0, 2 * rho / (1 + rho)))


def between(scores, sources):
    n, groups = len(scores), len(set(sources))
    ranks = [1 + sum(t < s for t in scores) + (sum(t == s for t in scores) - 1) / 2 for s in scores]
    means = means_by_source(ranks, sources)
    within = sum((rank - means[g]) ** 2 for rank, g in zip(ranks, sources))
    total = sum((rank - (n + 1) / 2) ** 2 for rank in ranks)
    return max(0.0, 1 - within / (n - groups) / (total / (n - 1)))


def shrunk(s, source, means, r):
    return means[source] + r * (s - means[source]) if source in means else s


def check_worked_example():
    """The page has it."""
    sources = ["a", "a", "b", "b", "b"]
    first, second = [0.1, 0.5, 0.4, 0.6, 0.8], [0.3, 0.3, 0.6, 0.6, 0.8]
    scores = [(x + y) / 2 for x, y in zip(first, second)]
    r = reliability(first, second, sources)
    means = means_by_source(scores, sources)
    assert abs(r - 0.759592) < 1e-6
    expected = [0.224041, 0.375959, 0.532054, 0.608014, 0.759932]
    assert all(abs(shrunk(s, g, means, r) - e) < 1e-6 for s, g, e in zip(scores, sources, expected))
    assert abs(between(scores, sources) - 2 / 3) < 1e-12


def run(samples, anchors_at, aggregate, center):
    zero = torch.zeros(WIDTH, dtype=torch.float64)
    seen, steps, refreshes, means, r, anchors = [], [], [], {}, 1.0, None
    for step, rows in enumerate(samples):
        mean = mean_of([x for x, _ in seen]) if center and seen else zero
        if step % REFRESH == 0:
            anchors = anchors_at[step]
            if seen:
                sources = [g for _, g in seen]
                halves = []
                for inside in (True, False):
                    places = [v for v in range(len(anchors)) if (v in FIRST_HALF[aggregate]) == inside]
                    half, tasks = [anchors[v] for v in places], [TASKS[v] for v in places]
                    halves.append([score(x, half, tasks, aggregate, mean) for x, _ in seen])
                scores = [score(x, anchors, TASKS, aggregate, mean) for x, _ in seen]
                r, means = reliability(*halves, sources), means_by_source(scores, sources)
                refreshes.append({
                    "step": step, "withinReliability": r, "betweenSources": between(scores, sources), "means": means,
                    "rescored": [shrunk(s, g, means, r) for s, g in zip(scores, sources)],
                })
        plain = [0.0 if center and not seen else score(x, anchors, TASKS, aggregate, mean) for x, _ in rows]
        steps.append({"plain": plain, "shrunk": [shrunk(s, g, means, r) for s, (_, g) in zip(plain, rows)]})
        seen = seen + rows
    return {"aggregate": aggregate, "center": center, "steps": steps, "refreshes": refreshes}


def cases():
    check_worked_example()
    generator = torch.Generator().manual_seed(SEED)

    def draw(middle, spread):
        # What the test reads is float32, so the oracle reads the same numbers.
        noise = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
        return (middle + spread * noise).float().double()

    middles = {name: torch.randn(WIDTH, generator=generator, dtype=torch.float64) for name in NAMES}
    samples = []
    for step, count in enumerate(SAMPLES):
        # A source that comes late is not among the remembered ones at the refresh before.
        names = NAMES if step >= 3 else NAMES[:2]
        samples.append([(draw(middles[name], 0.8), name) for name in (names[i % len(names)] for i in range(count))])
    anchors_at = {
        step: [draw(middles["near"], 0.9) for _ in TASKS] for step in range(len(SAMPLES)) if step % REFRESH == 0
    }
    arms = [run(samples, anchors_at, aggregate, center) for aggregate, center in (("micro", False), ("micro", True), ("max", True))]
    return [Case(
        package="adapt", name="score-shrinkage", sources=SOURCES, seed=SEED, config={"refreshEvery": REFRESH, "tasks": TASKS},
        reason=REASON, tensors={},
        values={
            "samples": [[{"state": x.tolist(), "source": name} for x, name in rows] for rows in samples],
            "anchors": {str(step): [row.tolist() for row in rows] for step, rows in anchors_at.items()},
            "firstHalf": FIRST_HALF, "arms": arms,
        },
    )]

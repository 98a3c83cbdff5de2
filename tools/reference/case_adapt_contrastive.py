"""Scores by a linear discriminant between anchors and training samples, written from the equations on given embeddings, in float64.

Sigma_l = (1 - l) Sigma + l (tr Sigma / D) I, v = Sigma_l^-1 (mu_A - m). Every difference is taken within one model: m is the mean of the background,
recent training samples that are embedded together with the anchors, and follows the means of the steps after that; Sigma is of samples around the
mean of their own step. The first refresh waits until as many samples were seen as the background has.

Odds: <v, x - m> - <v, mu_A - m>/2 + ln(pi / (1 - pi)), with m of the refresh in the second term. Standard: <v, x - m> / sqrt(v' Sigma v), cut at 8 and
divided by it. An anchor is judged by a discriminant that was solved without it. The inverse is an explicit one, sums are loops.
"""
import math

import torch

from golden import Case, relative_difference

SOURCES = ["case_adapt_contrastive.py"]
SEED, WIDTH, ANCHORS, BACKGROUND = 63, 6, 14, 6
SAMPLES = (4, 3, 5, 1, 6, 2, 9)  # of each step
REFRESH = 3  # steps between two embeddings of the anchors
SHRINKAGE, PRIOR, CUT, DECAY = 0.3, 0.2, 8.0, 0.9
REASON = "the embeddings are given; float32 holds them and the scores, and float64Deviation is what it costs"


def mean_of(rows):
    total = torch.zeros_like(rows[0])
    for row in rows:
        total = total + row
    return total / len(rows)


def around_step(rows, mean_before):
    """Samples around the mean of their step, lengthened so that their squares are unbiased; one alone around the means before it."""
    if len(rows) == 1:
        return [rows[0] - mean_before] if mean_before is not None else []
    mean = mean_of(rows)
    return [(row - mean) * math.sqrt(len(rows) / (len(rows) - 1)) for row in rows]


def covariance_of(residuals):
    total = torch.zeros(len(residuals[0]), len(residuals[0]), dtype=residuals[0].dtype)
    for residual in residuals:
        total = total + torch.outer(residual, residual)
    return total / len(residuals)


def solve(residuals, background, anchors, shrinkage=SHRINKAGE):
    """(v, mu_A - m, Sigma)."""
    difference, covariance = mean_of(anchors) - mean_of(background), covariance_of(residuals)
    width = len(difference)
    shrunk = (1 - shrinkage) * covariance + shrinkage * covariance.trace() / width * torch.eye(width, dtype=covariance.dtype)
    return torch.linalg.inv(shrunk) @ difference, difference, covariance


def odds(solution, centred, prior=PRIOR):
    v, difference, _ = solution
    return (v @ centred).item() - (v @ difference).item() / 2 + math.log(prior / (1 - prior))


def standard(solution, centred):
    v, _, covariance = solution
    score = (v @ centred).item() / math.sqrt((v @ covariance @ v).item())
    return max(-CUT, min(CUT, score)) / CUT


def area_under_curve(positives, negatives):
    wins = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def describe(residuals, background, anchors):
    """Squared distance of the means, and how well anchors stand out when each is left out of the solution."""
    solution = solve(residuals, background, anchors)
    left_out = [
        odds(solve(residuals, background, anchors[:i] + anchors[i + 1 :]), anchors[i] - mean_of(background), 0.5)
        for i in range(len(anchors))
    ]
    return {
        "squaredDistance": (solution[0] @ solution[1]).item(),
        "separationAuc": area_under_curve(left_out, [odds(solution, residual, 0.5) for residual in residuals]),
    }


def check_worked_examples():
    """Two dimensions by hand: the page has them."""
    def vectors(*rows):
        return [torch.tensor(row, dtype=torch.float64) for row in rows]

    residuals = around_step(vectors((1, 0), (-1, 0), (0, 2), (0, -2)), None)
    solution = solve(residuals, vectors((0, 0)), vectors((1, 1), (1, 3)), 0.5)
    v, _, covariance = solution
    assert torch.allclose(covariance, torch.diag(torch.tensor([2 / 3, 8 / 3], dtype=torch.float64)))
    # Sigma_l = diag(7/6, 13/6)
    assert torch.allclose(v, torch.tensor([6 / 7, 12 / 13], dtype=torch.float64))
    (x,) = vectors((1, 2))
    assert abs(odds(solution, x, 0.5) - 1.351648) < 1e-6
    assert abs(standard(solution, x) - 0.203326) < 1e-6


def cases():
    check_worked_examples()
    generator = torch.Generator().manual_seed(SEED)
    mixing = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    shift = torch.randn(WIDTH, generator=generator, dtype=torch.float64)

    def draw(count, offset=0.0):
        noise = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
        # What the test reads is float32, so the oracle reads the same numbers.
        return [row.float().double() for row in noise @ mixing + 2.0 + offset * shift]

    samples = [draw(count) for count in SAMPLES]
    residuals, mean, current, seen, last_refresh = [], None, None, 0, None
    steps, refreshes, directions = [], [], {}
    for step, rows in enumerate(samples):
        if seen >= BACKGROUND and (last_refresh is None or step - last_refresh >= REFRESH):
            anchors, background, last_refresh = draw(ANCHORS, 1.5), draw(BACKGROUND), step
            mean = mean_of(background)
            current = solve(residuals, background, anchors)
            directions[f"direction{step}"] = current[0]
            refreshes.append({
                "step": step, "anchors": [row.tolist() for row in anchors], "background": [row.tolist() for row in background],
                **describe(residuals, background, anchors),
            })
        centred = [row - mean if mean is not None else row for row in rows]
        steps.append({
            "odds": [odds(current, row) if current else 0.0 for row in centred],
            "standard": [standard(current, row) if current else 0.0 for row in centred],
        })
        residuals = residuals + around_step(rows, mean)
        seen += len(rows)
        mean = DECAY * mean + (1 - DECAY) * mean_of(rows) if mean is not None else mean_of(rows)
    rounded = {name: v.float() for name, v in directions.items()}
    deviation = max(relative_difference(rounded[name], v) for name, v in directions.items())
    settings = {"shrinkage": SHRINKAGE, "prior": PRIOR, "refreshEvery": REFRESH, "meanDecay": DECAY, "background": BACKGROUND}
    return [Case(
        package="adapt", name="adapt-contrastive", sources=SOURCES, seed=SEED, config=settings, reason=REASON, deviation=deviation,
        tensors={"tensors.safetensors": rounded},
        values={
            "samples": [[row.tolist() for row in rows] for rows in samples],
            "refreshes": refreshes,
            "steps": steps,
        },
    )]

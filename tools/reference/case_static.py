"""Fixed shares of sources: a draw with shares p, and a draw with q whose losses are multiplied by p / q, have one expected gradient.

Token losses come from logits of a small linear model, so that gradients can be stored. Both expectations are sums over every sample that can be drawn.
"""
import math

import torch

from golden import Case

SOURCES = ["case_static.py"]
SEED, WIDTH, VOCABULARY, TOKENS = 83, 4, 6, 5
COUNTS = (12, 6, 2)  # samples of one length by source: q = (0.6, 0.3, 0.1)
P = (0.45, 0.35, 0.2)
REASON = "all in float64; two orders of summation differ by a few 1e-16"


def sample_gradient(head, states, targets):
    """Of the mean loss of one sample with respect to the head."""
    own = head.detach().clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(states @ own.T, targets)
    loss.backward()
    return loss.item(), own.grad.flatten().tolist()


def cases():
    generator = torch.Generator().manual_seed(SEED)
    head = torch.randn(VOCABULARY, WIDTH, dtype=torch.float64, generator=generator)
    samples = []
    for source, count in enumerate(COUNTS):
        for _ in range(count):
            states = torch.randn(TOKENS, WIDTH, dtype=torch.float64, generator=generator) + source
            targets = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
            loss, gradient = sample_gradient(head, states, targets)
            samples.append({"source": source, "loss": loss, "gradient": gradient})
    total = sum(COUNTS)
    q = [count / total for count in COUNTS]
    weights = [p / own for p, own in zip(P, q)]
    assert all(abs(a - b) < 5e-7 for a, b in zip(weights, (0.75, 1.166667, 2.0)))
    assert abs(math.fsum(a * b for a, b in zip(q, weights)) - 1) < 1e-12
    size = VOCABULARY * WIDTH

    def of_source(source, k):
        own = [s["gradient"][k] for s in samples if s["source"] == source]
        return math.fsum(own) / len(own)

    drawn_with_p = [math.fsum(p * of_source(source, k) for source, p in enumerate(P)) for k in range(size)]
    drawn_with_q = [
        math.fsum(weights[s["source"]] * s["gradient"][k] for s in samples) / total for k in range(size)
    ]
    assert all(abs(a - b) < 1e-12 for a, b in zip(drawn_with_p, drawn_with_q))
    config = {"p": list(P), "q": q}
    values = {"config": config, "weights": weights, "samples": samples, "gradient": drawn_with_p}
    return [Case("adapt", "static", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-12)]

"""Online Data Mixing: policies over four sources from the losses of single samples, written from the equations.

Losses of the samples come from a made-up model of each source; what is stored is a list of steps, each with its samples, and the shares
that each variant has after each step. A step in which the gradient was not finite is not learnt from.
"""
import math

import torch

from golden import Case

SOURCES = ["case_odm.py"]
SEED, STEPS, SAMPLES, WARMUP, DECAY = 81, 14, 7, 3, 0.9
NATURAL = (0.45, 0.3, 0.0, 0.15, 0.1)  # the third source has no samples
ENTROPY = (3.1, 2.2, 0.0, 4.0, 1.2)
REASON = "all in float64; two orders of summation differ by a few 1e-16"


def exploration(step, count):
    return min(1 / count, math.sqrt(math.log(count) / (count * step)))


class Policy:
    """One variant; sources by name, so that nothing depends on places in a list."""

    def __init__(self, variant, shares):
        self.variant = variant
        self.pi = dict(shares)
        self.worth = {name: 0.0 for name in shares}
        self.eps = 1 / len(shares)

    def learn(self, step, losses):
        for name, loss in losses.items():
            if self.variant == "smoothed":
                self.worth[name] = DECAY * self.worth[name] + (1 - DECAY) * math.exp(loss)
            elif self.variant == "paper":
                self.worth[name] = DECAY * self.worth[name] + (1 - DECAY) * loss / self.pi[name]
            elif self.variant == "dataflex":
                self.worth[name] = min(10_000, DECAY * self.worth[name] + (1 - DECAY) * 15 * loss / self.pi[name])
            else:
                self.worth[name] += loss / 10 / self.pi[name]
        before, self.eps = self.eps, exploration(step, len(self.pi))
        if self.variant == "dataflex":
            self.eps = min(1 / len(self.pi), max(0.03, self.eps))
        if self.variant == "smoothed":
            raw = dict(self.worth)
        else:
            raw = {name: math.exp(before * worth) for name, worth in self.worth.items()}
        if self.variant == "dataflex":
            most = max(self.worth.values())
            raw = {name: math.exp(max(-5, before * (worth - most))) for name, worth in self.worth.items()}
        total = math.fsum(raw.values())
        for name in self.pi:
            self.pi[name] = (1 - len(self.pi) * self.eps) * raw[name] / total + self.eps


def source_losses(samples):
    """Mean over all labels of a source, one sample after the other."""
    nats, labels = {}, {}
    for source, count, loss in samples:
        for _ in range(count):
            nats[source] = nats.get(source, 0.0) + loss
            labels[source] = labels.get(source, 0) + 1
    return {source: nats[source] / labels[source] for source in nats}


def make_steps():
    generator = torch.Generator().manual_seed(SEED)
    shares = torch.tensor(NATURAL, dtype=torch.float64)
    steps = []
    for step in range(1, STEPS + 1):
        drawn = torch.multinomial(shares, SAMPLES, replacement=True, generator=generator).tolist()
        noise = torch.rand(SAMPLES, dtype=torch.float64, generator=generator).tolist()
        counts = torch.randint(1, 40, (SAMPLES,), generator=generator).tolist()
        samples = [
            [source, count, ENTROPY[source] + noise[i] - 0.05 * step]
            for i, (source, count) in enumerate(zip(drawn, counts))
        ]
        steps.append({"step": step, "finite": step != 6, "samples": samples})
    return steps


def run(variant, steps):
    policy = Policy(variant, {source: share for source, share in enumerate(NATURAL) if share > 0})
    shares = []
    for record in steps:
        if record["finite"] and record["step"] > WARMUP:
            count = record["step"] - (WARMUP if variant == "dataflex" else 0)
            policy.learn(count, source_losses(record["samples"]))
        shares.append([policy.pi.get(source, 0.0) for source in range(len(NATURAL))])
    return shares


def check_worked_examples():
    def close(actual, expected):
        assert all(abs(a - b) < 2e-6 for a, b in zip(actual, expected)), (actual, expected)

    def after(variant, times):
        policy = Policy(variant, {0: 0.5, 1: 0.3, 2: 0.2})
        for t in range(times):
            policy.learn(2001 + t, {0: 2.0, 1: 2.5, 2: 3.0})
        return list(policy.worth.values()), list(policy.pi.values())

    close(after("smoothed", 1)[0], (0.738906, 1.218249, 2.008554))
    close(after("smoothed", 1)[1], (0.192290, 0.308257, 0.499453))
    close(after("paper", 1)[1], (0.280157, 0.321591, 0.398252))
    close(after("paper", 2)[0], (1.073885, 1.527385, 2.103292))
    close(after("paper", 2)[1], (0.331197, 0.333152, 0.335652))
    close(after("exp3", 2)[1], (0.330976, 0.333117, 0.335907))


def check_dataflex():
    policy = Policy("dataflex", {0: 0.5, 1: 0.3, 2: 0.2})
    policy.learn(10, {0: 2.0})
    policy.learn(20, {2: 3.0})
    for found, expected in zip(policy.pi.values(), (0.179738, 0.149407, 0.670855)):
        assert abs(found - expected) < 2e-6


def cases():
    check_worked_examples()
    check_dataflex()
    steps = make_steps()
    config = {"natural": list(NATURAL), "warmup": WARMUP, "decay": DECAY, "total": STEPS}
    shares = {variant: run(variant, steps) for variant in ("smoothed", "paper", "exp3", "dataflex")}
    values = {"config": config, "steps": steps, "shares": shares}
    return [Case("adapt", "odm", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-12)]

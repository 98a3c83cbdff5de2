"""DoReMi's proxy: the exponentiated gradient over the sources and both objectives, written from the equations.

Token losses of a proxy and of its reference are made up; the proxy's come from logits, so that the gradient of the objective can be stored.
Every token is looked at by itself.
"""
import math

import torch

from golden import Case

SOURCES = ["case_doremi.py"]
SEED, STEPS, TOKENS, VOCABULARY = 82, 6, 11, 9
ETA, SMOOTHING = 1.0, 1e-3
ALPHA = DRAW = (0.5, 0.3, 0.2)  # the gate begins with the shares that are drawn
REASON = "token losses are handed over as float32; everything behind them is in float64"


class GroupDro:
    def __init__(self, alpha, first_excess):
        self.alpha = list(alpha)
        self.excess = [first_excess] * len(alpha)
        self.history = [list(alpha)]

    def learn(self, proxy, reference, source):
        for d in range(len(self.alpha)):
            own = [max(proxy[n] - reference[n], 0.0) for n in range(len(source)) if source[n] == d]
            if own:
                self.excess[d] = math.fsum(own) / len(own)
        raised = [a * math.exp(ETA * e) for a, e in zip(self.alpha, self.excess)]
        total = math.fsum(raised)
        self.alpha = [(1 - SMOOTHING) * r / total + SMOOTHING / len(raised) for r in raised]
        self.history.append(self.alpha)

    def mean(self):
        return [math.fsum(column) / len(self.history) for column in zip(*self.history)]


def objective(norm, alpha, losses, source):
    """`repo`: a mean over all tokens with weights alpha / q. `paper`: the sum of alpha_d times the mean of source d."""
    if norm == "repo":
        weights = [alpha[d] / DRAW[d] for d in source]
        return sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)
    top, there = 0.0, 0.0
    for d in range(len(alpha)):
        own = [loss for loss, s in zip(losses, source) if s == d]
        if own:
            top = top + alpha[d] * sum(own) / len(own)
            there += alpha[d]
    return top / there


def run():
    generator = torch.Generator().manual_seed(SEED)
    dro = GroupDro(ALPHA, math.log(VOCABULARY))
    steps = []
    for step in range(STEPS):
        logits_NV = 2 * torch.randn(TOKENS, VOCABULARY, dtype=torch.float64, generator=generator)
        logits_NV = logits_NV.float().double().requires_grad_()
        target_N = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
        # The first step has no token of the last source, the third none of the first.
        source = torch.randint(1 if step == 2 else 0, 2 if step == 0 else 3, (TOKENS,), generator=generator).tolist()
        losses = list(torch.nn.functional.cross_entropy(logits_NV, target_N, reduction="none"))
        proxy = [loss.float().item() for loss in losses]
        reference = [value.item() for value in (1.0 + 2 * torch.rand(TOKENS, generator=generator)).float()]
        dro.learn(proxy, reference, source)
        record = {"source": source, "proxy": proxy, "reference": reference, "alpha": dro.alpha, "mean": dro.mean()}
        for norm in ("repo", "paper"):
            loss = objective(norm, dro.alpha, losses, source)
            # d loss / d ce of each token: what a token's weight comes to.
            share = torch.autograd.grad(loss, losses, retain_graph=True)
            record[norm] = {"loss": loss.item(), "share": [value.item() for value in share]}
        steps.append(record)
    return {"steps": steps}


def check_worked_examples():
    def close(actual, expected):
        assert all(abs(a - b) < 2e-6 for a, b in zip(actual, expected)), (actual, expected)

    dro = GroupDro((0.5, 0.3, 0.2), 10.0)
    dro.learn((0.4, -0.2, 0.1, 0.8, 0.6, -0.5, -0.1), (0.0,) * 7, (0, 0, 0, 1, 1, 2, 2))
    close(dro.excess, (0.166667, 0.7, 0.0))
    close(dro.alpha, (0.423395, 0.433026, 0.143579))
    close(dro.mean(), (0.461698, 0.366513, 0.171790))
    losses = (2.0, 2.0, 2.0, 3.0, 3.0, 2.5, 2.5)
    close([objective("paper", dro.alpha, losses, (0, 0, 0, 1, 1, 2, 2))], [2.504815])


def cases():
    check_worked_examples()
    config = {
        "eta": ETA, "smoothing": SMOOTHING, "alpha": list(ALPHA), "draw": list(DRAW),
        "first_excess": math.log(VOCABULARY),
    }
    return [Case("adapt", "doremi", SOURCES, SEED, config, REASON, {}, values={"config": config, **run()}, tolerance=1e-6)]

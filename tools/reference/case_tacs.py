"""TACS between two models: the fall of every sample's loss from one to the other, divided and not, and the share with the largest.

The models are those of llama-two-layer and llama-two-layer-tied. Each sample runs alone and unpadded, in float64.
"""
import torch

import tiny_llama as llama
from golden import Case

SOURCES = ["case_tacs.py", "case_llama.py", "tiny_llama.py"]
SEED, KEEP, EPS = 95, 0.25, 1e-8
UNTIED_SEED, TIED_SEED = 20, 30  # those of the two cases
NUM_SAMPLES = 17
REASON = "float32 losses differ in their seventh digit"


def score(first, last, divide=True, floor=0.0):
    if not divide:
        return first - last
    return (first - last) / (max(first, floor) + EPS)


def best(scores, count):
    """Places of the largest scores, one after another."""
    left = [i for i, value in enumerate(scores) if value > float("-inf")]
    picked = []
    while left and len(picked) < count:
        place = max(left, key=lambda i: (scores[i], -i))
        picked.append(place)
        left.remove(place)
    return picked


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    first, last = (2.4, 1.1, 3.0, 0.05, 1.8), (2.1, 1.0, 2.92, 0.03, 1.9)
    for options, expected, picked in (
        ({}, (0.125, 0.090909, 0.026667, 0.4, -0.055556), [3, 0]),
        ({"divide": False}, (0.3, 0.1, 0.08, 0.02, -0.1), [0, 1]),
        ({"floor": 0.5}, (0.125, 0.090909, 0.026667, 0.04, -0.055556), [0, 1]),
    ):
        found = [score(a, b, **options) for a, b in zip(first, last)]
        assert all(abs(a - b) < 2e-6 for a, b in zip(found, expected)), found
        assert best(found, 2) == picked


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)
    ends = [
        (llama.as_leaves(llama.init_parameters(own, seed), torch.float64), own)
        for own, seed in ((config, UNTIED_SEED), ({**config, "tie_word_embeddings": True}, TIED_SEED))
    ]
    samples = []
    for i in range(NUM_SAMPLES):
        length = 4 + (5 * i) % 11
        ids = llama.random_tokens(config, (length,), generator).tolist()
        samples.append({"tokens": ids, "prompt": length if i == 6 else 1 + i % 3, "source": "a" if i % 3 else "b"})

    def mean_loss(end, sample):
        leaves, own = end
        ids, prompt = sample["tokens"], sample["prompt"]
        if prompt >= len(ids):
            return 0.0
        logits_TV = llama.logits_from(leaves, llama.hidden_states(leaves, own, torch.tensor([ids])))[0]
        losses = [-torch.log_softmax(logits_TV[t - 1], -1)[ids[t]].item() for t in range(prompt, len(ids))]
        return sum(losses) / len(losses)

    with torch.no_grad():
        losses = [[mean_loss(end, sample) for sample in samples] for end in ends]
    values = {"samples": samples, "keep": KEEP, "scores": {}, "kept": {}}
    for name, options in (("first", {}), ("none", {"divide": False}), ("floor", {"floor": 6.0})):
        scores = [
            score(a, b, **options) if sample["prompt"] < len(sample["tokens"]) else float("-inf")
            for a, b, sample in zip(*losses, samples)
        ]
        values["scores"][name] = [None if value == float("-inf") else value for value in scores]
        # Of each source its own share, samples without labels aside.
        kept = []
        for source in ("a", "b"):
            places = [i for i, sample in enumerate(samples) if sample["source"] == source and scores[i] > float("-inf")]
            own = best([scores[i] for i in places], max(1, int(KEEP * len(places))))
            kept += [places[i] for i in own]
        values["kept"][name] = sorted(kept)
    return [Case("adapt", "tacs", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model", tolerance=1e-5)]

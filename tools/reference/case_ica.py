"""ICA on a two-layer Llama: neighbours among the anchors, losses with them as context, and min-max weights over a step.

Each sequence runs alone and unpadded, in float64. A sample is [start] tokens [eos]; a conversation is the tokens of its turns alone.
"""
import torch

import tiny_llama as llama
from case_adapt_step import pooled, unit
from golden import Case

SOURCES = ["case_ica.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 94, 20  # the parameters are those of llama-two-layer
START, EOS, K = 1, 2, 3
REASON = "float32 losses differ in their seventh digit; neighbours are far from ties (smallestGap)"


def neighbours(cosines, k, is_allowed):
    """The k largest, one after another."""
    left = [v for v in range(len(cosines)) if is_allowed(v)]
    found = []
    while left and len(found) < k:
        best = left[0]
        for v in left:
            if cosines[v] > cosines[best]:
                best = v
        found.append(best)
        left.remove(best)
    return found


def context_of(chosen, anchors):
    """Farthest first; every text ends with eos, and only the first sequence keeps its start."""
    tokens = []
    for place, v in enumerate(reversed(chosen)):
        ids = list(anchors[v]["tokens"])
        if place > 0 and ids[0] == START:
            ids = ids[1:]
        if not anchors[v]["chat"] and ids[-1] != EOS:
            ids.append(EOS)
        tokens += ids
    return tokens


def min_max(scores):
    low, high = min(scores), max(scores)
    if high == low:
        return [1.0] * len(scores)
    return [(score - low) / (high - low) for score in scores]


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    def close(actual, expected):
        assert all(abs(a - b) < 2e-6 for a, b in zip(actual, expected)), (actual, expected)

    plain, behind = (2.0, 3.0, 1.5, 2.5), (1.6, 2.9, 1.7, 1.5)
    scores = [a - b for a, b in zip(plain, behind)]
    close(scores, (0.4, 0.1, -0.2, 1.0))
    weights = min_max(scores)
    close(weights, (0.5, 0.25, 0.0, 1.0))
    total = sum(w * loss for w, loss in zip(weights, plain))
    close((total, total / 4, total / sum(weights)), (4.25, 1.0625, 2.428571))
    close((sum(weights) ** 2 / sum(w * w for w in weights),), (2.333333,))
    own, others = torch.tensor((0.8, 0.6)), torch.tensor(((0.6, 0.8), (1, 0), (0, 1), (0.936, -0.352)))
    cosines = (others @ own).tolist()
    close(cosines, (0.96, 0.8, 0.6, 0.5376))
    assert neighbours(cosines, 3, lambda v: True) == [0, 1, 2]


def cases():
    check_worked_examples()
    config = llama.CONFIG
    limit = config["max_position_embeddings"]
    generator = torch.Generator().manual_seed(SEED)
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)

    def draw(length):
        return llama.random_tokens(config, (length,), generator).tolist()

    anchors = [{"tokens": [START, *draw(n), EOS], "chat": False} for n in (4, 7, 12, 9)]
    anchors += [{"tokens": draw(6), "chat": True}, {"tokens": [START, *draw(8)], "chat": False}]
    # Texts, records with prompts, a conversation, one without labels, one that is an anchor, and some that leave less and less room.
    samples = [{"tokens": [START, *draw(n), EOS], "prompt": p} for n, p in ((5, 1), (9, 4), (14, 1), (3, 2), (7, 9))]
    samples += [{"tokens": draw(10), "prompt": 3}, {"tokens": list(anchors[2]["tokens"]), "prompt": 1}]
    samples += [{"tokens": [START, *draw(n), EOS], "prompt": 1} for n in (36, 38, 41, 46, 58)]

    def states(tokens):
        return llama.hidden_states(leaves, config, torch.tensor([tokens]))[0]

    def mean_loss(before, sample):
        """Over the labels of the sample alone: its tokens from the end of the prompt on."""
        own = sample["tokens"]
        if before and own[0] == START:
            own = own[1:]
        tokens = before + own
        count = len(sample["tokens"]) - sample["prompt"]
        logits_TV = llama.logits_from(leaves, states(tokens)[None])[0]
        total = 0.0
        for place in range(len(tokens) - count, len(tokens)):
            total += -torch.log_softmax(logits_TV[place - 1], -1)[tokens[place]].item()
        return total / count

    values = {"samples": samples, "anchors": anchors, "k": K, "chosen": [], "scores": []}
    gaps = []
    with torch.no_grad():
        unit_VD = torch.stack([unit(pooled(states(anchor["tokens"]))) for anchor in anchors])
        for sample in samples:
            cosines = (unit_VD @ unit(pooled(states(sample["tokens"])))).tolist()
            ranked = sorted(cosines)
            gaps += [b - a for a, b in zip(ranked, ranked[1:])]
            chosen = neighbours(cosines, K, lambda v: anchors[v]["tokens"] != sample["tokens"])
            own = len(sample["tokens"]) - (1 if sample["tokens"][0] == START else 0)
            while chosen and len(context_of(chosen, anchors)) + own > limit:
                chosen.pop()
            if sample["prompt"] >= len(sample["tokens"]):
                chosen = []
            values["chosen"].append(chosen)
            values["scores"].append(
                mean_loss([], sample) - mean_loss(context_of(chosen, anchors), sample) if chosen else 0.0
            )
    values["smallestGap"] = min(gaps)
    assert values["smallestGap"] > 1e-5, values["smallestGap"]
    assert sorted({len(chosen) for chosen in values["chosen"]}) == [0, 1, 2, 3], values["chosen"]
    values["weights"] = min_max(values["scores"])
    return [Case(
        "adapt", "ica", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model", tolerance=1e-5,
    )]

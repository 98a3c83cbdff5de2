"""Perplexity of samples under a two-layer Llama, read whole or in windows.

Each window runs alone and unpadded; a token's loss is taken in the first window that holds it.
"""
import math

import torch

import tiny_llama as llama
from golden import Case

SOURCES = ["case_ppl.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 96, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, WINDOW, STRIDE = 24, 9, 4
REASON = "float32 sums in another order move a perplexity by a few 1e-7 of its size"


def window_losses(leaves, config, tokens, counted, window, stride):
    """Losses of the counted tokens, a list for each window."""
    found, previous_end = [], 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + window, len(tokens))
        losses = llama.token_losses(
            llama.logits_from(leaves, llama.hidden_states(leaves, config, tokens[None, begin:end])),
            llama.next_labels(tokens[None, begin:end]),
        )[0].tolist()
        # losses[t] is that of token begin + t + 1
        found.append([losses[t - begin - 1] for t in range(max(previous_end, 1), end) if counted[t] and t > begin])
        previous_end = end
        if end == len(tokens):
            return found


def perplexity(windows, average):
    windows = [losses for losses in windows if losses]
    if not windows:
        return 1.0
    means = [sum(losses) / len(losses) for losses in windows]
    every = [loss for losses in windows for loss in losses]
    return math.exp(sum(means) / len(means) if average == "window" else sum(every) / len(every))


def check_worked_examples():
    losses = [(0.5, 1, 1.5), (2, 2, 2), (0.1, 0.2, 0.3)]
    found = [perplexity([list(of)], "window") for of in losses]
    assert all(abs(a - b) < 1e-6 for a, b in zip(found, (2.718282, 7.389056, 1.221403)))


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)
    lengths = [1, 2, WINDOW, WINDOW + 1] + torch.randint(1, 31, (NUM_SAMPLES - 4,), generator=generator).tolist()
    samples = [llama.random_tokens(config, (length,), generator) for length in lengths]
    prompts = [min(length, 1 + i % 12) for i, length in enumerate(lengths)]
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    scores = {}
    with torch.no_grad():
        for window, stride in ((2048, 512), (WINDOW, STRIDE)):
            for tokens in ("all", "response_only"):
                read = [
                    window_losses(leaves, config, ids, [tokens == "all" or t >= n for t in range(len(ids))], window, stride)
                    for ids, n in zip(samples, prompts)
                ]
                for average in ("window", "token"):
                    scores[f"{window}.{stride}.{tokens}.{average}"] = [perplexity(of, average) for of in read]
    values = {"samples": [ids.tolist() for ids in samples], "prompts": prompts, "scores": scores}
    return [Case(
        "adapt", "ppl", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model", tolerance=1e-5,
    )]

"""Embedding, RDS and nearest neighbours on a two-layer Llama: cosines of pooled states to queries of three tasks, and who is taken when.

Each text runs alone and unpadded. The texts of `embedding` and `near` are the tokens of `near` with a start token in front, cut to a length, with an end
token behind where the last state stands for the text.
"""
import string

import torch

import tiny_llama as llama
from case_adapt_step import pooled, unit
from golden import Case

SOURCES = ["case_embeddings.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 97, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, TASKS = 31, ("law", "sql", "law", "tea", "sql")
START, END, MAX_TOKENS, NEIGHBOURS = 1, 2, 9, 6
REASON = "float32 sums in another order move a cosine by a few 1e-7; orders are far from ties (smallestGap)"


def cleaned(text):
    return text.lower().replace("\n", " ").translate(str.maketrans("", "", string.punctuation))


def framed(ids, ends):
    body = ids.tolist()[: MAX_TOKENS - 1 - len(ends)]
    return torch.tensor([START] + body + ends)


def best_task(column):
    """The largest over tasks of the mean within a task."""
    return max(
        sum(value for value, task in zip(column, TASKS) if task == name) / TASKS.count(name) for name in set(TASKS)
    )


def rank_by_rank(rows, depth):
    """The matrix of neighbours, read column by column; what is named before costs the turn."""
    neighbours = [sorted(range(len(row)), key=lambda i: (-row[i], i))[:depth] for row in rows]
    order = []
    for rank in range(depth):
        for row in neighbours:
            if row[rank] not in order:
                order.append(row[rank])
    return order


def check_worked_examples():
    assert cleaned("It's A-1,\n(two)  _x_!") == "its a1 two  x"
    rows = [[0.9, 0.8, 0.1, 0.7], [0.9, 0.1, 0.7, 0.8]]  # neighbours (0, 1, 3) and (0, 3, 2)
    assert rank_by_rank(rows, 3) == [0, 1, 3, 2]


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(1, 15, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES), draw(len(TASKS))
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)

    def states(ids):
        return llama.hidden_states(leaves, config, ids[None])[0]

    def similarities(embed):
        with torch.no_grad():
            unit_PD, unit_VD = (torch.stack([unit(embed(ids)) for ids in texts]) for texts in (samples, anchors))
        return (unit_VD @ unit_PD.T).tolist()

    last = similarities(lambda ids: states(ids)[-1])
    weighted = similarities(lambda ids: pooled(states(framed(ids, []))))
    ended = similarities(lambda ids: states(framed(ids, [END]))[-1])
    sorted_rows = [sorted(row) for row in weighted + ended]
    gap = min(b - a for row in sorted_rows for a, b in zip(row, row[1:]) if b > a)
    values = {
        "samples": [ids.tolist() for ids in samples],
        "anchors": [{"task": task, "tokens": ids.tolist()} for task, ids in zip(TASKS, anchors)],
        "maxTokens": MAX_TOKENS,
        "start": START,
        "end": END,
        "rds": [best_task(column) for column in zip(*last)],
        "embedding": [sum(column) / len(TASKS) for column in zip(*weighted)],
        "last": [sum(column) / len(TASKS) for column in zip(*ended)],
        "neighbours": NEIGHBOURS,
        "near": rank_by_rank(weighted, NEIGHBOURS),
        "smallestGap": gap,
    }
    return [Case(
        "adapt", "embeddings", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model",
        tolerance=1e-5,
    )]

"""RDS+ on a two-layer Llama: pooled states, cosines to anchors of three tasks, and the order in which turns take samples.

Each sample runs alone and unpadded. An order is what a budget of every size gives, one budget at a time.
"""
import torch

import tiny_llama as llama
from case_adapt_step import pooled, unit
from golden import Case

SOURCES = ["case_rds_plus.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 93, 20  # the parameters are those of llama-two-layer
NUM_SAMPLES, TASKS = 37, ("law", "sql", "law", "tea", "sql")
REASON = "float32 sums in another order move a cosine by a few 1e-7; orders are far from ties (smallestGap)"


def take_turns(rows, budget):
    """Each row names its best column in turn; one that is taken already costs the turn."""
    queues = [sorted(range(len(row)), key=lambda i: (-row[i], i)) for row in rows]
    taken = []
    while len(taken) < budget:
        for queue in queues:
            best = queue.pop(0)
            if best not in taken and len(taken) < budget:
                taken.append(best)
    return taken


def order_of(rows):
    count = len(rows[0])
    orders = [take_turns(rows, budget) for budget in range(1, count + 1)]
    for shorter, longer in zip(orders, orders[1:]):
        assert longer[:-1] == shorter
    return orders[-1]


def check_worked_examples():
    rows = [[0.9, 0.8, 0.1, 0.2], [0.85, 0.3, 0.4, 0.7]]
    assert take_turns(rows, 3) == [0, 1, 3]
    assert take_turns(rows, 2) == [0, 1]
    means = [sum(column) / 2 for column in zip(*rows)]
    assert all(abs(a - b) < 1e-12 for a, b in zip(means, (0.875, 0.55, 0.25, 0.45)))
    assert [max(column) for column in zip(*rows)] == [0.9, 0.8, 0.4, 0.7]


def cases():
    check_worked_examples()
    config = llama.CONFIG
    generator = torch.Generator().manual_seed(SEED)

    def draw(count):
        lengths = torch.randint(1, 15, (count,), generator=generator).tolist()
        return [llama.random_tokens(config, (length,), generator) for length in lengths]

    samples, anchors = draw(NUM_SAMPLES), draw(len(TASKS))
    leaves = llama.as_leaves(llama.init_parameters(config, MODEL_SEED), torch.float64)
    with torch.no_grad():
        unit_PD, unit_VD = (
            torch.stack([unit(pooled(llama.hidden_states(leaves, config, ids[None])[0])) for ids in texts])
            for texts in (samples, anchors)
        )
    similarity_VP = (unit_VD @ unit_PD.T).tolist()
    by_task = [
        [max(row[i] for row, task in zip(similarity_VP, TASKS) if task == name) for i in range(NUM_SAMPLES)]
        for name in sorted(set(TASKS))
    ]
    sorted_rows = [sorted(row) for row in similarity_VP + by_task]
    gap = min(b - a for row in sorted_rows for a, b in zip(row, row[1:]))
    assert gap > 1e-6, gap
    values = {
        "samples": [ids.tolist() for ids in samples],
        "anchors": [{"task": task, "tokens": ids.tolist()} for task, ids in zip(TASKS, anchors)],
        "mean": [sum(column) / len(TASKS) for column in zip(*similarity_VP)],
        "max": [max(column) for column in zip(*similarity_VP)],
        "order": {"anchor": order_of(similarity_VP), "task": order_of(by_task)},
        "smallestGap": gap,
    }
    return [Case(
        "adapt", "rds-plus", SOURCES, SEED, config, REASON, {}, values=values, model="../llama-two-layer/model",
        tolerance=1e-5,
    )]

"""RegMix: boosted trees and least squares on mixtures, one loop at a time, and what LightGBM makes of the same rows where it is installed.

The mixtures have no zeros and no equal values: LightGBM puts a border of its own beside zero.
"""
import math

import torch

from golden import Case

SOURCES = ["case_regmix.py"]
SEED, ROWS, COLUMNS, TEST = 84, 60, 4, 12
RATE, LEAVES, MIN_LEAF, TREES, PATIENCE = 0.1, 6, 4, 60, 3
REASON = "all in float64; sums are added up in another order"


def grow(rows, residual, leaves, min_leaf):
    """A tree of dictionaries, and its leaves. Two columns that part the same rows gain the same: the first one wins."""
    def split_of(own):
        total = math.fsum(residual[i] for i in own)
        best = None
        for column in range(len(rows[0])):
            order = sorted(own, key=lambda i: rows[i][column])
            for place in range(len(own) - min_leaf, min_leaf - 1, -1):
                below, above = order[:place], order[place:]
                if rows[below[-1]][column] == rows[above[0]][column]:
                    continue
                left = math.fsum(residual[i] for i in below)
                right = math.fsum(residual[i] for i in above)
                gain = left * left / len(below) + right * right / len(above) - total * total / len(own)
                if gain > 1e-12 and (best is None or gain - best[0] > 1e-10 * gain):
                    middle = (rows[below[-1]][column] + rows[above[0]][column]) / 2
                    best = (gain, column, middle, below, above)
        return best

    tree = {"rows": list(range(len(rows)))}
    open_leaves = [tree]
    while len(open_leaves) < leaves:
        found = [(split_of(leaf["rows"]), place) for place, leaf in enumerate(open_leaves)]
        found = [(split, place) for split, place in found if split is not None]
        if not found:
            break
        (_, column, threshold, below, above), place = max(found, key=lambda item: item[0][0])
        leaf = open_leaves[place]
        leaf.update(column=column, threshold=threshold, left={"rows": below}, right={"rows": above})
        open_leaves[place] = leaf["left"]
        open_leaves.append(leaf["right"])
    return tree, open_leaves


def value(tree, row):
    while "column" in tree:
        tree = tree["left"] if row[tree["column"]] <= tree["threshold"] else tree["right"]
    return tree["value"]


def boost(rows, targets, test_rows, test_targets, min_leaf=MIN_LEAF, leaves=LEAVES, trees=TREES, rate=RATE):
    base = math.fsum(targets) / len(targets)
    residual = [target - base for target in targets]
    predictions = [base] * len(test_rows)
    errors = [math.fsum((p - t) ** 2 for p, t in zip(predictions, test_targets)) / len(test_rows)]
    history, stop = [predictions], 0
    while len(errors) <= trees and len(errors) - 1 - stop < PATIENCE:
        tree, grown = grow(rows, residual, leaves, min_leaf)
        for leaf in grown:
            leaf["value"] = rate * math.fsum(residual[i] for i in leaf["rows"]) / len(leaf["rows"])
        residual = [r - value(tree, row) for r, row in zip(residual, rows)]
        predictions = [p + value(tree, row) for p, row in zip(predictions, test_rows)]
        history.append(predictions)
        errors.append(math.fsum((p - t) ** 2 for p, t in zip(predictions, test_targets)) / len(test_rows))
        if errors[-1] < errors[stop]:
            stop = len(errors) - 1
    return {"trees": stop, "errors": errors, "predictions": history[stop]}


def compare_with_lightgbm(rows, targets, ours):
    try:
        import lightgbm
    except ImportError:
        return
    import numpy

    settings = {
        "objective": "regression", "learning_rate": RATE, "num_leaves": LEAVES, "min_data_in_leaf": MIN_LEAF,
        "min_data_in_bin": 1, "verbosity": -1, "num_threads": 1,
    }
    own = lightgbm.Dataset(numpy.array(rows), numpy.array(targets), params={"min_data_in_bin": 1})
    fit = lightgbm.train(settings, own, TREES)
    # On the rows that it grew on: beside them it matters which of two columns that part the same rows is taken, and rounding takes it there.
    found = fit.predict(numpy.array(rows), num_iteration=TREES)
    assert max(abs(a - b) for a, b in zip(found, ours)) < 1e-5


def check_worked_examples():
    rows = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3], [0.2, 0.5, 0.3]]
    losses = [3.2, 3.6, 3.9, 3.4, 3.55]
    stump = boost(rows, losses, rows, losses, min_leaf=1, leaves=2, trees=1, rate=0.01)
    for found, expected in zip(stump["predictions"], (3.5277, 3.531533, 3.531533, 3.5277, 3.531533)):
        assert abs(found - expected) < 1e-6
    solution = torch.linalg.lstsq(torch.tensor(rows, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64))
    for found, expected in zip(solution.solution.tolist(), (3.004790, 3.568043, 4.012412)):
        assert abs(found - expected) < 1e-6


def cases():
    check_worked_examples()
    generator = torch.Generator().manual_seed(SEED)
    weights = -torch.log(torch.rand(ROWS + TEST, COLUMNS, dtype=torch.float64, generator=generator))
    mixtures = (weights / weights.sum(1, keepdim=True)).tolist()
    noise = 0.01 * torch.randn(ROWS + TEST, dtype=torch.float64, generator=generator)
    losses = [3 + p[0] ** 2 - math.sqrt(p[1]) + p[2] * p[3] + noise[i].item() for i, p in enumerate(mixtures)]
    rows, test_rows, targets, test_targets = mixtures[:ROWS], mixtures[ROWS:], losses[:ROWS], losses[ROWS:]
    trees = boost(rows, targets, test_rows, test_targets)
    compare_with_lightgbm(rows, targets, boost(rows, targets, rows, targets)["predictions"])
    linear = torch.linalg.lstsq(torch.tensor(rows, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64))
    config = {
        "learningRate": RATE, "maxTrees": TREES, "maxLeaves": LEAVES, "minLeaf": MIN_LEAF, "patience": PATIENCE,
    }
    values = {
        "config": config, "rows": rows, "targets": targets, "testRows": test_rows, "testTargets": test_targets,
        "trees": trees, "linear": linear.solution.tolist(),
    }
    return [Case("adapt", "regmix", SOURCES, SEED, config, REASON, {}, values=values, tolerance=1e-9)]

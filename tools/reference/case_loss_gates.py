"""Steps weighted by the samples' own losses, written from the equations: the LinUpper family and IR-DRO.

Both weigh the mean losses of a whole step; the weights sum to 1 and are constant for the gradient, the loss is sum_i w_i l_i.
Everything is a loop over samples in plain numbers; the packed batch is that of the ADAPT step.
"""
import math

import torch

import tiny_llama as llama
from case_adapt_step import LAYOUT, LENGTH, REASON, make_batch
from golden import Case, relative_difference

SOURCES = ["case_loss_gates.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 61, 20  # the parameters are those of llama-two-layer
SHAPES = ("linupper", "quadratic", "extremes", "upper")
SHARPNESS = (1.0, 0.4)
LAMBDAS = (1.0, 0.25)
DELTA, FLOOR = 1.0, 1e-6
# Labelled samples of the two micro-batches that a gate with the smaller scope sees one by one.
MICRO_BATCHES = ((0, 1), (2, 4))


def scaled(loss, smallest, largest, delta=DELTA):
    """The loss on [-delta, delta], by the smallest and the largest of the step."""
    width = max(largest - smallest, FLOOR)
    return 2 * delta * loss / width - delta * (largest + smallest) / width


def shaped(shape, h, delta=DELTA):
    if shape == "linupper":
        return min(h + delta, delta)
    if shape == "quadratic":
        return 1 - h * h / (delta * delta)
    if shape == "extremes":
        return abs(h)
    assert shape == "upper"
    return 0.5 * h + 0.5 * delta


def exp_shares(values, temperature):
    """exp(v / temperature) over their sum, one after the other."""
    top = max(values)
    raised = [math.exp((value - top) / temperature) for value in values]
    total = 0.0
    for value in raised:
        total += value
    return [value / total for value in raised]


def family_weights(shape, losses, r):
    smallest, largest = min(losses), max(losses)
    return exp_shares([shaped(shape, scaled(loss, smallest, largest)) for loss in losses], r)


def length_weighted(weights, counts):
    """The trainer's variant: each weight times n_i over the mean number of labels."""
    mean = sum(counts) / len(counts)
    return [weight * count / mean for weight, count in zip(weights, counts)]


def weighted_sum(weights, losses):
    total = 0.0
    for weight, loss in zip(weights, losses):
        total = total + weight * loss
    return total


def dro_value(losses, lam):
    return lam * math.log(sum(math.exp(loss / lam) for loss in losses) / len(losses))


def run(parameters, config, batch, samples, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    hidden_BTD = llama.hidden_states(leaves, config, batch["tokens_BT"], batch["segment_BT"], batch["position_BT"])
    loss_BT = llama.token_losses(llama.logits_from(leaves, hidden_BTD), batch["labels_BT"])
    labelled = [i for i, sample in enumerate(samples) if sample["numLabels"] > 0]
    counts = [samples[i]["numLabels"] for i in labelled]
    means = [loss_BT[batch["segment_BT"] == i].sum() / samples[i]["numLabels"] for i in labelled]
    plain = [mean.item() for mean in means]
    values, gradients = {"labelled": labelled, "losses": plain, "counts": counts, "family": {}, "irDro": {}}, {}

    def gradient(weights):
        found = torch.autograd.grad(weighted_sum(weights, means), list(leaves.values()), retain_graph=True)
        return {"grad." + key: grad for key, grad in zip(leaves, found)}

    for shape in SHAPES:
        for r in SHARPNESS:
            weights = family_weights(shape, plain, r)
            longer = length_weighted(weights, counts)
            values["family"][f"{shape}.{r:g}"] = {
                "weights": weights, "loss": weighted_sum(weights, plain),
                "lengthWeights": longer, "lengthLoss": weighted_sum(longer, plain),
            }
    for lam in LAMBDAS:
        weights = exp_shares(plain, lam)
        parts = [[labelled.index(i) for i in part] for part in MICRO_BATCHES]
        alone = [exp_shares([plain[i] for i in part], lam) for part in parts]
        values["irDro"][f"{lam:g}"] = {
            "weights": weights, "loss": weighted_sum(weights, plain), "value": dro_value(plain, lam),
            "microBatchLoss": sum(
                weighted_sum(own, [plain[i] for i in part]) for own, part in zip(alone, parts)
            ) / len(parts),
        }
    gradients["linupper"] = gradient(values["family"]["linupper.0.4"]["weights"])
    gradients["ir-dro"] = gradient(values["irDro"]["0.25"]["weights"])
    return {"token_loss_BT": loss_BT.detach()}, values, gradients


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    def close(actual, expected):
        assert all(abs(a - b) < 2e-6 for a, b in zip(actual, expected)), (actual, expected)

    losses = (2.0, 3.0, 4.0, 6.0)
    close([scaled(loss, 2, 6) for loss in losses], (-1, -0.5, 0, 1))
    for shape, r, weights, loss in (
        ("linupper", 1.0, (0.123681, 0.203916, 0.336201, 0.336201), 4.221123),
        ("quadratic", 1.0, (0.146300, 0.309717, 0.397684, 0.146300), 3.690283),
        ("extremes", 1.0, (0.336201, 0.203916, 0.123681, 0.336201), 3.796084),
        ("linupper", 0.4, (0.034656, 0.120960, 0.422192, 0.422192), 4.654113),
        ("quadratic", 0.4, (0.048301, 0.314965, 0.588432, 0.048301), 3.685035),
        ("extremes", 0.4, (0.422192, 0.120960, 0.034656, 0.422192), 3.879040),
    ):
        found = family_weights(shape, losses, r)
        close(found, weights)
        close([weighted_sum(found, losses)], [loss])
    for lam, weights, loss, value in (
        (1.0, (0.015219, 0.041371, 0.112457, 0.830953), 5.590096, 4.798888),
        (2.0, (0.078394, 0.129250, 0.213097, 0.579259), 4.872479, 4.319424),
    ):
        found = exp_shares(losses, lam)
        close(found, weights)
        close([weighted_sum(found, losses), dro_value(losses, lam)], [loss, value])


def cases():
    check_worked_examples()
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    batch, samples = make_batch(config, torch.Generator().manual_seed(SEED))
    tensors, values, gradients = run(parameters, config, batch, samples, torch.float32)
    exact, _, exact_gradients = run(parameters, config, batch, samples, torch.float64)
    pairs = [(tensors, exact)] + [(gradients[name], exact_gradients[name]) for name in gradients]
    deviation = max(relative_difference(a[key], b[key]) for a, b in pairs for key in a)
    files = {"tensors.safetensors": tensors}
    files.update({f"gradients-{name}.safetensors": gradients[name] for name in gradients})
    batch_json = {"rows": len(LAYOUT), "length": LENGTH}
    batch_json.update({name: value.reshape(-1).tolist() for name, value in batch.items()})
    settings = {
        "delta": DELTA, "r": SHARPNESS, "lambda": LAMBDAS, "microBatches": MICRO_BATCHES,
        "gradients": {"linupper": 0.4, "ir-dro": 0.25},
    }
    return [Case(
        package="adapt", name="loss-gates", sources=SOURCES, seed=SEED, config={**config, "gates": settings},
        reason=REASON, deviation=deviation, tensors=files, model="../llama-two-layer/model",
        values={"batch": {**batch_json, "samples": samples}, **values},
    )]

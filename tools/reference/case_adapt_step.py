"""One ADAPT step on a packed batch, written from the equations with a loop over samples.

Score: mean cosine between the position-weighted mean of a sample's final-norm states and the anchors'.
Gate: sigmoid(score / temperature), constant for the gradient. Loss: weighted sum over a normaliser.
"""
import math

import torch

import tiny_llama as llama
from golden import Case, relative_difference

SOURCES = ["case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 60, 20  # the parameters are those of llama-two-layer
LENGTH, ANCHOR_LENGTHS = 16, (7, 4, 9)
TEMPERATURES = (1.0, 0.1)
GRADIENTS = ("sample.wmean", "token.mean")
# Tokens and prompt length of each sample, row by row; the rest of a row is padding. The one-token sample has no
# label, and so does not count; the two with a prompt are trained on their completion only.
LAYOUT = (((7, 0), (5, 2)), ((9, 4), (1, 0), (4, 0)))
REASON = (
    "float32 sums in another order move a tensor of this size by a few 1e-7; float64Deviation is what float32 "
    "itself costs against the same equations in float64"
)


def pooled(hidden_TD):
    """phi = sum_i i h_i / (n (n + 1) / 2), i from 1 to n."""
    count = hidden_TD.shape[0]
    weight_T = torch.arange(1, count + 1, dtype=hidden_TD.dtype) / (count * (count + 1) / 2)
    return (weight_T[:, None] * hidden_TD).sum(0)


def unit(phi_D):
    return phi_D / max(phi_D.norm().item(), 1e-8)


def centroid(phi_AD):
    """The mean of unit vectors, not normalised again."""
    return torch.stack([unit(phi_D) for phi_D in phi_AD]).mean(0)


def gate(score, temperature):
    return 1 / (1 + math.exp(-score / max(temperature, 1e-8)))


def normalised_losses(weights, loss_means, label_counts):
    """(numerator, Z) under each normaliser; samples without a label are left out of both."""
    items = [item for item in zip(weights, loss_means, label_counts) if item[2] > 0]
    by_sample = sum(w * l for w, l, _ in items)
    by_token = sum(w * l * n for w, l, n in items)
    return {
        "sample.mean": (by_sample, len(items)),
        "sample.wmean": (by_sample, sum(w for w, _, _ in items)),
        "token.mean": (by_token, sum(n for _, _, n in items)),
        "token.wmean": (by_token, sum(w * n for w, _, n in items)),
    }


def effective(weights):
    """(effective data ratio, Kish's effective sample size over the number of samples)."""
    return sum(weights) / len(weights), sum(weights) ** 2 / sum(w * w for w in weights) / len(weights)


def make_batch(config, generator):
    """A packed batch in the form of the Batch type: flat row-major arrays and one entry per sample."""
    rows = len(LAYOUT)
    tokens_BT = torch.zeros(rows, LENGTH, dtype=torch.int64)
    labels_BT = torch.full((rows, LENGTH), -100)
    segment_BT = torch.full((rows, LENGTH), -1)
    position_BT = torch.zeros(rows, LENGTH, dtype=torch.int64)
    samples = []
    for row, layout in enumerate(LAYOUT):
        start = 0
        for count, prompt in layout:
            ids = llama.random_tokens(config, (count,), generator)
            span = slice(start, start + count)
            tokens_BT[row, span], segment_BT[row, span] = ids, len(samples)
            position_BT[row, span] = torch.arange(count)
            first = max(prompt, 1)  # the first token that is predicted; its label stands one position before it
            labels_BT[row, start + first - 1 : start + count - 1] = ids[first:]
            samples.append({
                "index": len(samples), "id": f"sample-{len(samples)}", "source": "ab"[row], "weight": 1,
                "numTokens": count, "numLabels": max(count - first, 0),
            })
            start += count
    return {
        "tokens_BT": tokens_BT, "labels_BT": labels_BT, "segment_BT": segment_BT, "position_BT": position_BT,
    }, samples


def run(parameters, config, batch, samples, anchors, dtype):
    """Tensors, values and gradients of the step; everything about one sample is computed from its own span."""
    leaves = llama.as_leaves(parameters, dtype)
    with torch.no_grad():
        anchor_AD = torch.stack([pooled(llama.hidden_states(leaves, config, ids[None])[0]) for ids in anchors])
        centroid_D = centroid(anchor_AD)

    hidden_BTD = llama.hidden_states(leaves, config, batch["tokens_BT"], batch["segment_BT"], batch["position_BT"])
    loss_BT = llama.token_losses(llama.logits_from(leaves, hidden_BTD), batch["labels_BT"])
    counts = [sample["numLabels"] for sample in samples]
    spans = [batch["segment_BT"] == segment for segment in range(len(samples))]
    means = [loss_BT[span].sum() / max(count, 1) for span, count in zip(spans, counts)]
    pooled_SD = torch.stack([pooled(hidden_BTD[span].detach()) for span in spans])
    score_S = torch.stack([unit(phi_D) @ centroid_D for phi_D in pooled_SD])
    for phi_D, score in zip(pooled_SD, score_S):
        cosines = [torch.dot(unit(phi_D), unit(anchor_D)).item() for anchor_D in anchor_AD]
        assert abs(sum(cosines) / len(cosines) - score.item()) < 1e-6
    for span, phi_D in zip(spans, pooled_SD):
        alone_TD = llama.hidden_states(leaves, config, batch["tokens_BT"][span][None])[0].detach()
        assert relative_difference(pooled(alone_TD), phi_D) < 1e-6

    tensors = {
        "anchor_pooled_AD": anchor_AD, "centroid_D": centroid_D, "hidden_BTD": hidden_BTD.detach(),
        "pooled_SD": pooled_SD, "score_S": score_S, "token_loss_BT": loss_BT.detach(),
        "sample_loss_S": torch.stack(means).detach(),
    }
    by_temperature, gradients = {}, {}
    for temperature in TEMPERATURES:
        weights = [gate(score, temperature) for score in score_S.tolist()]
        tensors[f"weight_S.{temperature:g}"] = torch.tensor(weights, dtype=dtype)
        losses = normalised_losses(weights, means, counts)
        kept = [weight for weight, count in zip(weights, counts) if count > 0]
        ratio, size = effective(kept)
        by_temperature[f"{temperature:g}"] = {
            "weights": weights, "edr": ratio, "essRatio": size,
            "losses": {name: (top / z).item() for name, (top, z) in losses.items()},
            "normalisers": {name: z for name, (_, z) in losses.items()},
        }
        if temperature == TEMPERATURES[1]:
            for name in GRADIENTS:
                top, z = losses[name]
                grads = torch.autograd.grad(top / z, list(leaves.values()), retain_graph=True)
                gradients[name] = {"grad." + key: grad for key, grad in zip(leaves, grads)}
    return tensors, {"scores": score_S.tolist(), "temperatures": by_temperature}, gradients


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    def close(actual, expected):
        assert abs(actual - expected) < 2e-6, (actual, expected)

    hidden = torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 0, 3]], dtype=torch.float64)
    anchors = torch.tensor([[1.0, 0, 0], [0, 3, 4], [1, 1, 1]], dtype=torch.float64)
    score = (unit(pooled(hidden)) @ centroid(anchors)).item()
    close(score, 0.632662)
    close(gate(score, 0.1), 0.998215)
    losses = normalised_losses((0.7, 0.4, 0.6, 0.9), (2, 1, 3, 1.5), (10, 2, 6, 4))
    for name, expected in (("sample.mean", 1.2375), ("sample.wmean", 1.903846), ("token.mean", 1.409091),
                           ("token.wmean", 2.066667)):
        close(losses[name][0] / losses[name][1], expected)
    weights = [gate(score, 1.0) for score in (0.82, 0.10, -0.35, 0.55)]
    close(effective(weights)[0], 0.566683)
    close(effective(weights)[1], 0.965384)


def cases():
    check_worked_examples()
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    generator = torch.Generator().manual_seed(SEED)
    batch, samples = make_batch(config, generator)
    anchors = [llama.random_tokens(config, (count,), generator) for count in ANCHOR_LENGTHS]
    tensors, values, gradients = run(parameters, config, batch, samples, anchors, torch.float32)
    exact, _, exact_gradients = run(parameters, config, batch, samples, anchors, torch.float64)
    pairs = [(tensors, exact)] + [(gradients[name], exact_gradients[name]) for name in GRADIENTS]
    real_BT = batch["segment_BT"] >= 0
    for side in (tensors, exact):  # states on padding mean nothing
        side["hidden_BTD"] = side["hidden_BTD"] * real_BT[:, :, None]
    deviation = max(relative_difference(a[key], b[key]) for a, b in pairs for key in a)
    files = {"tensors.safetensors": {**batch, **tensors}}
    files.update({f"gradients-{name}.safetensors": gradients[name] for name in GRADIENTS})
    batch_json = {"rows": len(LAYOUT), "length": LENGTH}
    batch_json.update({name: value.reshape(-1).tolist() for name, value in batch.items()})
    settings = {
        "temperatures": TEMPERATURES, "gradientTemperature": TEMPERATURES[1],
        "pooling": "sum_i i h_i / (n (n + 1) / 2) over all tokens of a segment, states after the final norm",
        "weightsDetached": True,
    }
    return [Case(
        package="adapt", name="adapt-step", sources=SOURCES, seed=SEED, config={**config, "adapt": settings},
        reason=REASON, deviation=deviation, tensors=files, model="../llama-two-layer/model",
        values={
            "batch": {**batch_json, "samples": samples},
            "anchors": [ids.tolist() for ids in anchors],
            **values,
        },
    )]

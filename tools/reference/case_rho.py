"""Steps that train what a reference shows to be learnable, written from the equations: Rho-1 on tokens, RHO-LOSS on samples.

The reference is a second random model of the same shape. Tokens and samples are ranked by loops over plain numbers.
"""
import torch

import tiny_llama as llama
from case_adapt_step import LAYOUT, LENGTH, REASON, make_batch
from golden import Case, relative_difference

SOURCES = ["case_rho.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED, REFERENCE_SEED = 62, 20, 63  # the first model is that of llama-two-layer
TOKEN_KEEP, SAMPLE_KEEP = 0.6, 0.5


def kept_tokens(losses, reference, keep):
    """1 for each token whose excess is at least that of the one at rank int(keep * n)."""
    excess = [a - b for a, b in zip(losses, reference)]
    threshold = sorted(excess, reverse=True)[max(1, int(keep * len(excess))) - 1]
    return [1 if value >= threshold else 0 for value in excess]


def kept_samples(losses, irreducible, keep):
    """Places of the max(1, int(keep * n)) samples with the largest reducible loss, the largest first."""
    left = {i: a - b for i, (a, b) in enumerate(zip(losses, irreducible))}
    picked = []
    for _ in range(max(1, int(keep * len(losses)))):
        best = None
        for place, value in left.items():
            if best is None or value > left[best]:
                best = place
        picked.append(best)
        del left[best]
    return picked


def run(parameters, reference, config, batch, samples, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    layout = (batch["tokens_BT"], batch["segment_BT"], batch["position_BT"])

    def token_losses(weights):
        hidden_BTD = llama.hidden_states(weights, config, *layout)
        return llama.token_losses(llama.logits_from(weights, hidden_BTD), batch["labels_BT"])

    loss_BT = token_losses(leaves)
    with torch.no_grad():
        reference_BT = token_losses(llama.as_leaves(reference, dtype))
    labelled_BT = batch["labels_BT"] >= 0
    loss_N, reference_N = loss_BT[labelled_BT], reference_BT[labelled_BT]
    mask = kept_tokens(loss_N.tolist(), reference_N.tolist(), TOKEN_KEEP)
    token_loss = sum(loss for loss, kept in zip(loss_N, mask) if kept) / sum(mask)

    places = [i for i, sample in enumerate(samples) if sample["numLabels"] > 0]
    own = {i: loss_BT[batch["segment_BT"] == i].sum() / samples[i]["numLabels"] for i in places}
    other = {i: reference_BT[batch["segment_BT"] == i].sum() / samples[i]["numLabels"] for i in places}
    picked = [places[i] for i in kept_samples([own[i].item() for i in places], [other[i].item() for i in places], SAMPLE_KEEP)]
    sample_loss = sum(own[i] for i in picked) / len(picked)

    def gradient(loss):
        found = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)
        return {"grad." + key: grad for key, grad in zip(leaves, found)}

    tensors = {"loss_N": loss_N.detach(), "reference_N": reference_N.detach()}
    values = {
        "tokens": {"keep": TOKEN_KEEP, "mask": mask, "loss": token_loss.item()},
        "samples": {
            "keep": SAMPLE_KEEP, "kept": picked, "loss": sample_loss.item(), "labelled": places,
            "scores": [(own[i] - other[i]).item() for i in places],
        },
        # By sample, as a store of reference losses has them.
        "reference": [reference_BT[(batch["segment_BT"] == i) & labelled_BT].tolist() for i in range(len(samples))],
    }
    return tensors, values, {"rho-1": gradient(token_loss), "rho-loss": gradient(sample_loss)}


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    losses, reference = (2, 0.1, 3, 1, 4, 0.5), (1, 0.05, 2.9, 0.2, 4.5, 0.6)
    mask = kept_tokens(losses, reference, 0.6)
    assert mask == [1, 0, 1, 1, 0, 0], mask
    assert sum(loss for loss, kept in zip(losses, mask) if kept) / sum(mask) == 2.0
    assert kept_samples((2, 4, 1, 3.5), (1.5, 4.2, 0.2, 1.5), 0.5) == [3, 2]


def cases():
    check_worked_examples()
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    reference = llama.init_parameters(config, REFERENCE_SEED)
    batch, samples = make_batch(config, torch.Generator().manual_seed(SEED))
    tensors, values, gradients = run(parameters, reference, config, batch, samples, torch.float32)
    exact, exact_values, exact_gradients = run(parameters, reference, config, batch, samples, torch.float64)
    assert values["tokens"]["mask"] == exact_values["tokens"]["mask"]
    assert values["samples"]["kept"] == exact_values["samples"]["kept"]
    pairs = [(tensors, exact)] + [(gradients[name], exact_gradients[name]) for name in gradients]
    deviation = max(relative_difference(a[key], b[key]) for a, b in pairs for key in a)
    files = {"tensors.safetensors": tensors}
    files.update({f"gradients-{name}.safetensors": gradients[name] for name in gradients})
    batch_json = {"rows": len(LAYOUT), "length": LENGTH}
    batch_json.update({name: value.reshape(-1).tolist() for name, value in batch.items()})
    return [Case(
        package="adapt", name="rho", sources=SOURCES, seed=SEED,
        config={**config, "rho": {"token_keep": TOKEN_KEEP, "sample_keep": SAMPLE_KEEP}},
        reason=REASON, deviation=deviation, tensors=files, model="../llama-two-layer/model",
        values={"batch": {**batch_json, "samples": samples}, **values},
    )]

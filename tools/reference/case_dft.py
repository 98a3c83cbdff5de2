"""Steps whose tokens are weighed by probabilities, written from the equations: DFT, and PriFT by probability and by mass.

DFT's gradient is taken from another objective than its loss: that of minus the mean probability. The frozen model is a second
random model of the same shape. Masses are sums by loops over the vocabulary.
"""
import math

import torch

import tiny_llama as llama
from case_adapt_step import LAYOUT, LENGTH, REASON, make_batch
from golden import Case, relative_difference

SOURCES = ["case_dft.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED, BASE_SEED = 64, 20, 65  # the first model is that of llama-two-layer
THRESHOLD = 0.5


def mass_of(probabilities, target):
    """The probability of the target and of all tokens that are strictly less likely."""
    total = 0.0
    for value in probabilities:
        if value < probabilities[target]:
            total += value
    return total + probabilities[target]


def weighted(weights, losses):
    """Divided by the number of tokens, and by the sum of the weights."""
    total = 0.0
    for weight, loss in zip(weights, losses):
        total = total + weight * loss
    return total / len(weights), total / sum(weights)


def field_loss(logits_BTV, labels_BT):
    """The loss as trainers have it: labels that are shifted, a mask, one division by the labels of the whole step."""
    shifted_BT = torch.nn.functional.pad(labels_BT[:, 1:], (0, 1), value=-100)
    mask_BT = shifted_BT != -100
    logprobs_BT = torch.log_softmax(logits_BTV, -1).gather(-1, shifted_BT.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (-logprobs_BT.exp().detach() * logprobs_BT * mask_BT).sum() / mask_BT.sum()


def run(parameters, base, config, batch, samples, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    layout = (batch["tokens_BT"], batch["segment_BT"], batch["position_BT"])

    def logits(weights):
        return llama.logits_from(weights, llama.hidden_states(weights, config, *layout))

    logits_BTV = logits(leaves)
    labelled_BT = batch["labels_BT"] >= 0
    loss_N = llama.token_losses(logits_BTV, batch["labels_BT"])[labelled_BT]
    with torch.no_grad():
        base_BTV = logits(llama.as_leaves(base, dtype))
        base_N = llama.token_losses(base_BTV, batch["labels_BT"])[labelled_BT]
        # labels_BT holds the next token of every position.
        targets = batch["labels_BT"][labelled_BT].tolist()
        masses, own_masses = (
            [mass_of(row, y) for row, y in zip(torch.softmax(values, -1)[labelled_BT].tolist(), targets)]
            for values in (base_BTV, logits_BTV)
        )
    sample_N = batch["segment_BT"][labelled_BT].tolist()

    def gradient(loss):
        found = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)
        return {"grad." + key: grad for key, grad in zip(leaves, found)}

    def by_sample(values):
        return [[value for value, own in zip(values, sample_N) if own == i] for i in range(len(samples))]

    likelihoods = [math.exp(-loss) for loss in base_N.tolist()]
    kept = [1.0 if mass >= THRESHOLD else 0.0 for mass in masses]
    own = [math.exp(-loss) for loss in loss_N.tolist()]
    losses = {"dft": weighted(own, loss_N)[0], "prift": weighted(likelihoods, loss_N)[0], "prift-mass": weighted(kept, loss_N)[0]}
    gradients = {
        "dft": gradient(-torch.exp(-loss_N).mean()),
        "prift": gradient(losses["prift"]),
        "prift-mass": gradient(losses["prift-mass"]),
    }
    # The tokens as trainers get them: every label at its own token's place.
    labels_BT = torch.nn.functional.pad(batch["labels_BT"][:, :-1], (1, 0), value=-100)
    labels_BT = torch.where(labels_BT < 0, -100, labels_BT)
    of_field = field_loss(logits_BTV, labels_BT)
    assert abs(of_field.item() - losses["dft"].item()) < 1e-5
    field_gradient = gradient(of_field)
    assert all(relative_difference(field_gradient[key], grad) < 1e-4 for key, grad in gradients["dft"].items())
    values = {
        "losses": {name: loss.item() for name, loss in losses.items()},
        "threshold": THRESHOLD,
        # By sample, as a store of what a frozen model says has them.
        "base": by_sample(base_N.tolist()),
        "masses": by_sample(masses),
        "weights": {"dft": by_sample(own), "prift": by_sample(likelihoods), "prift-mass": by_sample(kept)},
    }
    tensors = {"loss_N": loss_N.detach(), "mass_N": torch.tensor(own_masses, dtype=dtype)}
    return tensors, values, gradients


def check_worked_examples():
    """The functions above give the numbers that the method specification works out by hand."""
    def close(actual, expected):
        assert all(abs(a - b) < 2e-6 for a, b in zip(actual, expected)), (actual, expected)

    losses, reference = (2, 0.1, 3, 1, 4, 0.5), (1, 0.05, 2.9, 0.2, 4.5, 0.6)
    for of, weights, means in (
        (losses, (0.135335, 0.904837, 0.049787, 0.367879, 0.018316, 0.606531), (0.209154, 0.602550)),
        (reference, (0.367879, 0.951229, 0.055023, 0.818731, 0.011109, 0.548812), (0.355587, 0.775042)),
    ):
        found = [math.exp(-loss) for loss in of]
        close(found, weights)
        close(weighted(found, losses), means)
    probabilities = (0.4, 0.3, 0.15, 0.1, 0.05)
    close([mass_of(probabilities, y) for y in range(5)], (1.0, 0.6, 0.3, 0.15, 0.05))
    close([mass_of((0.3, 0.3, 0.2, 0.2), 0)], (0.7,))


def cases():
    check_worked_examples()
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    base = llama.init_parameters(config, BASE_SEED)
    batch, samples = make_batch(config, torch.Generator().manual_seed(SEED))
    tensors, values, gradients = run(parameters, base, config, batch, samples, torch.float32)
    exact, exact_values, exact_gradients = run(parameters, base, config, batch, samples, torch.float64)
    assert values["weights"]["prift-mass"] == exact_values["weights"]["prift-mass"]
    pairs = [(tensors, exact)] + [(gradients[name], exact_gradients[name]) for name in gradients]
    deviation = max(relative_difference(a[key], b[key]) for a, b in pairs for key in a)
    files = {"tensors.safetensors": tensors}
    files.update({f"gradients-{name}.safetensors": gradients[name] for name in gradients})
    batch_json = {"rows": len(LAYOUT), "length": LENGTH}
    batch_json.update({name: value.reshape(-1).tolist() for name, value in batch.items()})
    return [Case(
        package="adapt", name="dft", sources=SOURCES, seed=SEED, config={**config, "dft": {"threshold": THRESHOLD}},
        reason=REASON, deviation=deviation, tensors=files, model="../llama-two-layer/model",
        values={"batch": {**batch_json, "samples": samples}, **values},
    )]

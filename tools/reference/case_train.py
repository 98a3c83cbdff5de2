"""Twelve AdamW steps of the two-layer Llama on fixed batches, with torch.optim.AdamW and clip_grad_norm_."""
import torch

import tiny_llama as llama
from golden import Case, relative_difference

SOURCES = ["case_llama.py", "case_train.py", "tiny_llama.py"]
# With some seeds one gradient element of the first step lies within float32 noise of zero; AdamW then gives it a
# full step of arbitrary sign, and two correct programs differ by 1e-5. This seed has no such element.
STEPS, ROWS, LENGTH, SEED = 12, 2, 12, 41
MODEL_SEED = 20  # the parameters of llama-two-layer
PEAK_RATE, BETAS, EPS, WEIGHT_DECAY, MAX_NORM = 1e-2, (0.9, 0.95), 1e-8, 0.1, 1.0
REASON = (
    "AdamW divides by the square root of the second moment, so float32 noise of the smallest gradients becomes "
    "parameter noise that later steps add to; float64Deviation is what float32 costs over all twelve steps"
)


def train(parameters, config, tokens_NBT, labels_NBT, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    groups = [
        {"params": [leaf for leaf in leaves.values() if leaf.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [leaf for leaf in leaves.values() if leaf.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=BETAS, eps=EPS)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rates.append(PEAK_RATE * (1 - step / STEPS))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1]
        optimizer.zero_grad(set_to_none=True)
        logits_BTV = llama.logits_from(leaves, llama.hidden_states(leaves, config, tokens_NBT[step]))
        loss = llama.mean_loss(logits_BTV, labels_NBT[step])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(leaves.values()), MAX_NORM).item())
        losses.append(loss.item())
        optimizer.step()
    final = {"final." + name: leaf.detach() for name, leaf in leaves.items()}
    return final, losses, norms, rates


def cases():
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    generator = torch.Generator().manual_seed(SEED)
    tokens_NBT = llama.random_tokens(config, (STEPS, ROWS, LENGTH), generator)
    labels_NBT = torch.stack([llama.next_labels(tokens_BT) for tokens_BT in tokens_NBT])
    final, losses, norms, rates = train(parameters, config, tokens_NBT, labels_NBT, torch.float32)
    exact, exact_losses, exact_norms, _ = train(parameters, config, tokens_NBT, labels_NBT, torch.float64)
    assert min(norms) > MAX_NORM, "every step must clip"
    deviation = {
        "parameters": max(relative_difference(value, exact[key]) for key, value in final.items()),
        "losses": max(abs(a - b) / b for a, b in zip(losses, exact_losses)),
        "gradNorms": max(abs(a - b) / b for a, b in zip(norms, exact_norms)),
    }
    settings = {
        "optimizer": "torch.optim.AdamW", "steps": STEPS, "betas": BETAS, "eps": EPS, "maxGradNorm": MAX_NORM,
        "weightDecay": WEIGHT_DECAY,
        "noDecay": [name for name, value in parameters.items() if value.ndim < 2],
        "decayRule": "decay on every parameter with two dimensions, embeddings and head included; none on norm weights",
        "schedule": "rate of step n (from 0) = 0.01 * (1 - n / 12), no warm-up",
    }
    return [Case(
        package="adapt", name="train-12-steps", sources=SOURCES, seed=SEED, config={**config, "training": settings},
        reason=REASON, deviation=deviation, model="../llama-two-layer/model",
        tensors={"tensors.safetensors": {"tokens_NBT": tokens_NBT, "labels_NBT": labels_NBT, **final}},
        values={"losses": losses, "gradNorms": norms, "learningRates": rates},
    )]

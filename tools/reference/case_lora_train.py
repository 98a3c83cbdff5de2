"""Eight AdamW steps of a LoRA adapter on fixed batches, with PEFT, torch.optim.AdamW and clip_grad_norm_."""
import torch

import case_architectures
import case_lora
import tiny_models
from golden import Case, relative_difference

SOURCES = ["case_architectures.py", "case_lora.py", "case_lora_train.py", "tiny_models.py"]
START = "lora-qwen2-all-linear"  # adapter and base of this case
STEPS, ROWS, LENGTH, SEED = 8, 2, 12, 700
PEAK_RATE, BETAS, EPS, WEIGHT_DECAY, MAX_NORM = 1e-2, (0.9, 0.95), 1e-8, 0.1, 1.5
REASON = (
    "AdamW divides by the square root of the second moment, so float32 noise of the smallest gradients becomes parameter "
    "noise that later steps add to; a run that takes one row at a time, compared here, stays within half the tolerance"
)


def train(tuned, tokens_NBT, groups):
    """Losses and gradient norms of each step, whose rows are taken in groups; only the adapter has an optimizer state."""
    trained = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=PEAK_RATE, betas=BETAS, eps=EPS, weight_decay=WEIGHT_DECAY)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        rates.append(PEAK_RATE * (1 - step / STEPS))
        optimizer.param_groups[0]["lr"] = rates[-1]
        optimizer.zero_grad(set_to_none=True)
        loss = 0
        for rows in groups:
            tokens_BT = tokens_NBT[step][rows]
            part = tuned(tokens_BT, labels=tokens_BT).loss * len(rows) / ROWS  # every row has as many labels
            part.backward()
            loss += part.item()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, MAX_NORM).item())
        losses.append(loss)
        optimizer.step()
    return losses, norms, rates


def run(groups):
    base, settings = case_lora.ADAPTERS[START]
    model = tiny_models.make_model(base, case_architectures.SEEDS[base])
    tuned = case_lora.add_adapter(model, settings, case_lora.seed_of(START))
    generator = torch.Generator().manual_seed(SEED)
    tokens_NBT = torch.randint(3, model.config.vocab_size, (STEPS, ROWS, LENGTH), generator=generator)
    figures = train(tuned, tokens_NBT, groups)
    return tokens_NBT, case_lora.saved_adapter(tuned)[1], *figures


def cases():
    tiny_models.quiet()
    tokens_NBT, final, losses, norms, rates = run([[0, 1]])
    other = run([[1], [0]])[1]
    noise = max(relative_difference(other[key], value) for key, value in final.items())
    tolerance = 1e-5
    if noise > tolerance / 2 or not min(norms) < MAX_NORM < max(norms):
        raise AssertionError(f"choose another seed: noise {noise:.1e}, norms {min(norms):.2f} to {max(norms):.2f}")
    labels_NBT = torch.full_like(tokens_NBT, -100)
    labels_NBT[:, :, :-1] = tokens_NBT[:, :, 1:]
    return [
        Case(
            package="adapt", name="lora-train-8-steps", sources=SOURCES, seed=SEED, reason=REASON, tolerance=tolerance,
            config={
                "start": START, "peakRate": PEAK_RATE, "betas": BETAS, "eps": EPS, "weightDecay": WEIGHT_DECAY,
                "maxGradNorm": MAX_NORM, "noiseOfRowByRow": noise,
            },
            reference=case_lora.reference(), model=f"../model-{case_lora.ADAPTERS[START][0]}/model",
            tensors={
                "tensors.safetensors": {
                    "tokens_NBT": tokens_NBT, "labels_NBT": labels_NBT, **{"final." + key: value for key, value in final.items()},
                }
            },
            values={"losses": losses, "gradNorms": norms, "learningRates": rates},
        )
    ]

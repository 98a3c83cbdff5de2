"""Five optimiser steps of DataFlex's ADAPT, written from its equations as that project runs them: micro-batch by micro-batch, rank by rank.

Read at commit 3c13e37; no code of it is used. Every micro-batch has a second forward for its scores, right-padded rows are pooled by the number
of their column, anchors are embedded again by every micro-batch of a refresh step, and the loss is a sum over the micro-batch. Dropout is 0.
The warm-up's token mean is taken over the labels of all ranks.
"""
import math

import torch

import tiny_llama as llama
from case_adapt_step import centroid, gate, unit
from golden import Case, relative_difference

SOURCES = ["case_dataflex.py", "case_adapt_step.py", "case_llama.py", "tiny_llama.py"]
SEED, MODEL_SEED = 62, 20  # the parameters are those of llama-two-layer
STEPS, WARMUP, REFRESH = 5, 1, 2
MICRO_BATCHES, RANKS, ROWS = 2, 2, 2  # k, W and B
TEMPERATURE, CLIP = 0.5, 0.7
RATE, BETAS, EPS = 3e-3, (0.9, 0.95), 1e-3  # a large eps: an update is then a smooth function of the gradient
# Tokens and prompt length of each sample of a step, in global order; one has no label and counts with a loss of 0.
LAYOUT = ((7, 0), (5, 2), (9, 4), (4, 4), (3, 0), (11, 1), (6, 5), (8, 0))
ANCHOR_LENGTHS = (7, 4, 9)
GRADIENTS = (0, 1, 4)  # steps whose gradients are kept: warm-up, the first with weights, after a refresh
REASON = (
    "float32 sums in another order move a gradient of this size by a few 1e-7; float64Deviation is what float32 itself costs over all "
    "five steps; what is stored was computed in float64"
)


def padded(rows):
    """Tokens and labels of right-padded rows: [B, T] each, labels shifted as token_losses wants them."""
    length = max(len(tokens) for tokens, _ in rows)
    tokens_BT = torch.zeros(len(rows), length, dtype=torch.int64)
    labels_BT = torch.full((len(rows), length), -100)
    mask_BT = torch.zeros(len(rows), length)
    for row, (tokens, prompt) in enumerate(rows):
        count = len(tokens)
        tokens_BT[row, :count], mask_BT[row, :count] = tokens, 1
        first = max(prompt, 1)
        labels_BT[row, first - 1 : count - 1] = tokens[first:]
    return tokens_BT, labels_BT, mask_BT


def row_pooled(hidden_TD, mask_T):
    """phi of one row: columns counted from 1 at its left edge, padding left out."""
    column_T = torch.arange(1, len(mask_T) + 1, dtype=hidden_TD.dtype) * mask_T
    return (column_T[:, None] * hidden_TD).sum(0) / column_T.sum()


def embed(leaves, config, rows):
    tokens_BT, _, mask_BT = padded(rows)
    segment_BT = torch.where(mask_BT > 0, torch.arange(len(rows))[:, None], torch.tensor(-1))
    with torch.no_grad():
        hidden_BTD = llama.hidden_states(leaves, config, tokens_BT, segment_BT)
    return [row_pooled(hidden_TD, mask_T.to(hidden_TD.dtype)) for hidden_TD, mask_T in zip(hidden_BTD, mask_BT)]


def clipped(weight, clip=CLIP):
    return weight if clip is None else min(weight, clip)


def micro_batch_losses(leaves, config, rows):
    """Sum of the token losses and number of labels of each row, with gradient."""
    tokens_BT, labels_BT, mask_BT = padded(rows)
    segment_BT = torch.where(mask_BT > 0, torch.arange(len(rows))[:, None], torch.tensor(-1))
    hidden_BTD = llama.hidden_states(leaves, config, tokens_BT, segment_BT)
    loss_BT = llama.token_losses(llama.logits_from(leaves, hidden_BTD), labels_BT)
    return loss_BT.sum(1), (labels_BT != -100).sum(1).tolist()


def train(parameters, config, steps, anchors, dtype):
    leaves = llama.as_leaves(parameters, dtype)
    optimizer = torch.optim.AdamW(list(leaves.values()), lr=RATE, betas=BETAS, eps=EPS, weight_decay=0.0)
    anchor_centroid_D, refreshes = None, 0
    records, gradients = [], {}
    for step, samples in enumerate(steps):
        optimizer.zero_grad(set_to_none=True)
        window_labels = sum(num_labels(sample) for sample in samples)
        step_loss, scores, weights = 0.0, [], []
        for micro_batch in range(MICRO_BATCHES):
            for rank in range(RANKS):
                start = (micro_batch * RANKS + rank) * ROWS
                rows = samples[start : start + ROWS]
                sums_B, counts = micro_batch_losses(leaves, config, rows)
                if step < WARMUP:
                    # The trainer's token mean over the window, and once more through k; ranks are averaged below.
                    loss = RANKS * sums_B.sum() / window_labels / MICRO_BATCHES
                else:
                    if anchor_centroid_D is None or step % REFRESH == 0:
                        anchor_centroid_D = centroid(embed(leaves, config, [(ids, 0) for ids in anchors]))
                        refreshes += 1
                    row_scores = [(unit(phi_D) @ anchor_centroid_D).item() for phi_D in embed(leaves, config, rows)]
                    row_weights = [clipped(gate(score, TEMPERATURE)) for score in row_scores]
                    means = [total / max(count, 1) for total, count in zip(sums_B, counts)]
                    loss = sum(weight * mean for weight, mean in zip(row_weights, means)) / MICRO_BATCHES
                    scores += row_scores
                    weights += row_weights
                (loss / RANKS).backward()
                step_loss += loss.item() / RANKS
        norm = math.sqrt(sum(leaf.grad.double().pow(2).sum().item() for leaf in leaves.values()))
        records.append({"loss": step_loss, "gradNorm": norm, "scores": scores, "weights": weights})
        if step in GRADIENTS:
            gradients[step] = {f"step{step}." + name: leaf.grad.detach().clone() for name, leaf in leaves.items()}
        optimizer.step()
    return records, {key: value for step in gradients.values() for key, value in step.items()}, refreshes


def num_labels(sample):
    tokens, prompt = sample
    return len(tokens) - max(prompt, 1)


def check_worked_examples():
    """The functions above give the numbers that the method's page works out by hand."""
    def close(actual, expected):
        assert abs(actual - expected) < 2e-6, (actual, expected)

    scores, losses, counts = (0.82, 0.10, -0.35, 0.55), (2.0, 3.0, 1.5, 2.5), (10, 2, 6, 4)
    weights = [gate(score, 1.0) for score in scores]
    for size, expected in ((1, 1.292206), (2, 2.584411), (4, 5.168823)):
        parts = [range(start, start + size) for start in range(0, 4, size)]
        close(sum(sum(weights[i] * losses[i] for i in part) for part in parts) / len(parts), expected)
    mean = sum(loss * count for loss, count in zip(losses, counts)) / sum(counts)
    for k, expected in ((1, 2.045455), (2, 1.022727), (4, 0.511364)):
        close(mean / k, expected)
        close(sum(w * l for w, l in zip(weights, losses)) / k / (mean / k), 2.526980)
    for weight, expected in zip(weights, (0.6, 0.524979, 0.413382, 0.6)):
        close(clipped(weight, 0.6), expected)

    hidden = torch.tensor([[2.0, 0, 0], [0, 1, 0], [0, 0, 3]], dtype=torch.float64)
    anchors = torch.tensor([[1.0, 0, 0], [0, 3, 4], [1, 1, 1]], dtype=torch.float64)
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    mask = torch.tensor([1.0, 1, 1, 0, 0], dtype=torch.float64)
    for rows, mask_T, score, weight in (
        (torch.cat([hidden, zeros]), mask, 0.632662, 0.653093),
        (torch.cat([zeros, hidden]), mask.flip(0), 0.697653, 0.667667),
    ):
        found = (unit(row_pooled(rows, mask_T)) @ centroid(anchors)).item()
        close(found, score)
        close(gate(found, 1.0), weight)


def cases():
    check_worked_examples()
    config = llama.CONFIG
    parameters = llama.init_parameters(config, MODEL_SEED)
    generator = torch.Generator().manual_seed(SEED)
    steps = [
        [(llama.random_tokens(config, (count,), generator), prompt) for count, prompt in LAYOUT] for _ in range(STEPS)
    ]
    anchors = [llama.random_tokens(config, (count,), generator) for count in ANCHOR_LENGTHS]
    records, tensors, refreshes = train(parameters, config, steps, anchors, torch.float64)
    rounded, rounded_tensors, _ = train(parameters, config, steps, anchors, torch.float32)
    # Step 1 is the first with weights: each of its micro-batches finds anchors but the first. Steps 2 and 4 embed in every micro-batch.
    assert refreshes == 1 + 2 * MICRO_BATCHES * RANKS
    assert any(weight == CLIP for record in records for weight in record["weights"])
    deviation = max(
        *(relative_difference(rounded_tensors[key], value) for key, value in tensors.items()),
        *(abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(rounded, records)),
    )
    settings = {
        "warmupSteps": WARMUP, "refreshEvery": REFRESH, "accumulation": MICRO_BATCHES, "world": RANKS, "rows": ROWS,
        "temperature": TEMPERATURE, "clip": CLIP, "learningRate": RATE, "betas": BETAS, "eps": EPS,
        "anchorsEmbedded": "by every micro-batch of a refresh step, and by the first with weights",
    }
    return [Case(
        package="adapt", name="dataflex", sources=SOURCES, seed=SEED, config={**config, "dataflex": settings},
        reason=REASON, deviation=deviation, model="../llama-two-layer/model",
        tensors={"tensors.safetensors": {key: value.float() for key, value in tensors.items()}},
        values={
            "steps": [[{"tokens": tokens.tolist(), "prompt": prompt} for tokens, prompt in samples] for samples in steps],
            "anchors": [ids.tolist() for ids in anchors],
            "records": records,
        },
    )]

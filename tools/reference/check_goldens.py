#!/usr/bin/env python3
"""Compares the Llama golden cases with transformers' own LlamaForCausalLM (needs transformers).

The golden files come from a transcription of the equations; this shows that transformers, an independent program,
gives the same logits, loss, gradients and packed logits, and the same twelve training steps.

    python tools/reference/check_goldens.py
"""
import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM

from golden import REPOSITORY, relative_difference
from safetensors_file import load_file

GOLDEN = REPOSITORY / "packages" / "adapt" / "golden"


def load_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def mean_loss(logits_BTV, labels_BT):
    return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=-100)


def llama_differences(folder):
    expected = load_file(folder / "tensors.safetensors")
    model = load_model(folder / "model")
    logits_BTV = model(expected["tokens_BT"]).logits
    loss = mean_loss(logits_BTV, expected["labels_BT"])
    loss.backward()
    yield "logits_BTV", relative_difference(logits_BTV, expected["logits_BTV"])
    yield "loss", relative_difference(loss, expected["loss"])
    for name, parameter in model.named_parameters():
        yield "grad." + name, relative_difference(parameter.grad, expected["grad." + name])
    segment_BT = expected["packed.segment_BT"]
    allowed = (segment_BT[:, :, None] == segment_BT[:, None, :]).tril()
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
    packed = model(expected["packed.tokens_BT"], attention_mask=mask, position_ids=expected["packed.position_BT"])
    yield "packed.logits_BTV", relative_difference(packed.logits, expected["packed.logits_BTV"])


def train_differences(folder):
    case = json.loads((folder / "case.json").read_text())
    expected, settings = load_file(folder / "tensors.safetensors"), case["config"]["training"]
    model = load_model(folder / case["model"])
    named = dict(model.named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if n not in settings["noDecay"]],
         "weight_decay": settings["weightDecay"]},
        {"params": [named[n] for n in settings["noDecay"]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=tuple(settings["betas"]), eps=settings["eps"])
    for step, rate in enumerate(case["values"]["learningRates"]):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = mean_loss(model(expected["tokens_NBT"][step]).logits, expected["labels_NBT"][step])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings["maxGradNorm"]).item()
        optimizer.step()
        yield f"loss {step}", abs(loss.item() / case["values"]["losses"][step] - 1)
        yield f"norm {step}", abs(norm / case["values"]["gradNorms"][step] - 1)
    for name, parameter in named.items():
        yield "final." + name, relative_difference(parameter.detach(), expected["final." + name])


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    failed = False
    for name, check in (
        ("llama-two-layer", llama_differences),
        ("llama-two-layer-tied", llama_differences),
        ("train-12-steps", train_differences),
    ):
        worst, value = max(check(GOLDEN / name), key=lambda item: item[1])
        limit = json.loads((GOLDEN / name / "case.json").read_text())["tolerance"]["otherVersions"]
        failed |= not value <= limit
        print(f"{name}: largest relative difference {value:.1e} ({worst}), limit {limit:.0e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

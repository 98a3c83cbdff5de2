#!/usr/bin/env python3
"""Loads a model folder with transformers and compares its logits with logits computed elsewhere.

    python tools/reference/check_export.py MODEL_DIR TOKENS LOGITS [--limit 1e-4]

TOKENS   JSON file: a list of token ids, a list of such lists, or an object with a `tokens` key holding one.
         All lists of one file have the same length.
LOGITS   .json: nested lists [T][V] or [B][T][V], or an object with a `logits` key holding them; or
         .safetensors: a tensor named `logits` or `logits_BTV`.

Prints the largest absolute difference and exits with 1 when it is above the limit.
"""
import argparse
import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

from safetensors_file import load_file


def read_json(path, key):
    content = json.loads(Path(path).read_text())
    return torch.tensor(content[key] if isinstance(content, dict) else content)


def read_logits(path):
    if path.endswith(".safetensors"):
        tensors = load_file(path)
        return tensors["logits"] if "logits" in tensors else tensors["logits_BTV"]
    return read_json(path, "logits")


def main():
    parser = argparse.ArgumentParser(description="Compare an exported model with transformers")
    parser.add_argument("model_dir")
    parser.add_argument("tokens")
    parser.add_argument("logits")
    parser.add_argument("--limit", type=float, default=1e-4)
    options = parser.parse_args()
    transformers.logging.disable_progress_bar()
    model, info = AutoModelForCausalLM.from_pretrained(
        options.model_dir, dtype=torch.float32, output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(kind):
            print(f"{kind}: {sorted(map(str, info[kind]))}")
            return 1
    tokens_BT = read_json(options.tokens, "tokens").long()
    tokens_BT = tokens_BT[None] if tokens_BT.ndim == 1 else tokens_BT
    expected = read_logits(options.logits).double()
    expected = expected[None] if expected.ndim == 2 else expected
    with torch.no_grad():
        logits_BTV = model.eval()(tokens_BT).logits.double()
    if logits_BTV.shape != expected.shape:
        print(f"shape of the logits: {tuple(expected.shape)} in {options.logits}, {tuple(logits_BTV.shape)} here")
        return 1
    difference = (logits_BTV - expected).abs().max().item()
    print(f"largest absolute difference of {logits_BTV.numel()} logits: {difference:.3e} (limit {options.limit:.0e})")
    return 0 if difference <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())

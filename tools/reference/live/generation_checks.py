"""Greedy generation, id by id."""
import json

import torch

from case_generate import generate

LENGTHS, NEW_TOKENS = (1, 3, 9), 24
MARGIN = 1e-3


def check_generation(bench, name):
    """Three prompts without a stop. A prompt whose two largest logits come too close is passed over."""
    model, _, folder = bench.write_model(name)
    generator, runs = torch.Generator().manual_seed(bench.seed + 3), []
    for length in LENGTHS:
        margin = 0
        while margin < MARGIN:
            prompt = torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist()
            ids, margin = generate(model, prompt, eos_id=-1, count=NEW_TOKENS)
        runs.append({"prompt": prompt, "ids": ids})

    def compare(out, report):
        ours = json.loads((out / "ids.json").read_text())
        different = sum(a != b for run, ids in zip(runs, ours, strict=True) for a, b in zip(run["ids"], ids, strict=True))
        report("ids that differ", different, 0)

    bench.add("generate", name, compare, folder=folder, prompts=[run["prompt"] for run in runs], maxNewTokens=NEW_TOKENS)

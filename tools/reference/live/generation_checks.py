"""Greedy generation, id by id."""
import json
from itertools import zip_longest

import torch

from case_generate import generate
from case_lora import add_adapter

LENGTHS, NEW_TOKENS = (1, 3, 9), 24
MARGIN = 1e-3


def draw_runs(model, seed):
    """Three prompts with their greedy ids. A prompt whose two largest logits come too close is passed over."""
    generator, runs = torch.Generator().manual_seed(seed), []
    for length in LENGTHS:
        margin = 0
        while margin < MARGIN:
            prompt = torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist()
            ids, margin = generate(model, prompt, eos_id=-1, count=NEW_TOKENS)
        runs.append({"prompt": prompt, "ids": ids})
    return runs


def check_generation(bench, name, settings=None):
    """Greedy ids of a model, with LoRA `settings` those of the model with a random adapter."""
    model, _, folder = bench.write_model(name)
    arguments = {"folder": folder, "maxNewTokens": NEW_TOKENS}
    if settings is not None:
        model = add_adapter(model, settings, bench.seed + 4)
        name, arguments["adapter"] = f"{name} +lora", bench.folder / f"{name}-generate-adapter"
        model.save_pretrained(arguments["adapter"])
    runs = draw_runs(model, bench.seed + 3)

    def compare(out, report):
        ours = json.loads((out / "ids.json").read_text())
        pairs = (pair for run, ids in zip(runs, ours) for pair in zip_longest(run["ids"], ids))
        different = sum(a != b for a, b in pairs) if len(ours) == len(runs) else float("inf")
        report("ids that differ", different, 0)

    bench.add("generate", name, compare, prompts=[run["prompt"] for run in runs], **arguments)

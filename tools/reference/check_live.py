#!/usr/bin/env python3
"""Compares the built project with the installed PyTorch, transformers and PEFT: stored cases, then fresh random models.

    npm run reference -- --python .venv/bin/python        finds the interpreter and calls this
    python tools/reference/check_live.py [--seed N] [--node COMMAND] [--only WORD]

First every program of this folder that checks stored cases runs. Then each architecture of `tiny_models.py` gets new random
weights: transformers and PEFT write folders, the project computes from them and writes them again (`live/run-jobs.mjs`), and
transformers and PEFT compute from what the project wrote. Last, `adapt train`, `generate` and `merge` run on the shipped data,
and transformers and PEFT open what they left. Prints a table of the largest differences and exits with 1 when one
is above its limit. `--seed` repeats a run.
"""
import argparse
import secrets
import subprocess
import sys
import tempfile

import peft
import torch
import transformers

import tiny_models
from golden import REFERENCE
from live.bench import Bench
from live.generation_checks import check_generation
from live.lora_checks import check_bfloat16_base, check_new_adapter, check_peft_adapter
from live.model_checks import check_model, check_older_configs, check_shards
from live.run_checks import check_runs

PROGRAMS = (
    ("write_goldens.py", "--check"), ("write_model_goldens.py", "--check"), ("write_schedules.py", "--check"),
    ("check_goldens.py",), ("case_chat_templates.py", "--check"),
)
PEFT_ADAPTERS = {
    "llama": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "mistral": {"r": 2, "lora_alpha": 3, "use_rslora": True, "target_modules": r".*\.layers\.1\..*_proj"},
    "qwen2": {"r": 5, "lora_alpha": 5, "target_modules": "all-linear"},
    "qwen3": {"r": 3, "lora_alpha": 16, "target_modules": ["self_attn.q_proj", "layers.1.mlp.up_proj"]},
}
NEW_ADAPTERS = {
    "llama-bias": {"r": 4, "loraAlpha": 8, "loraDropout": 0.1, "useRslora": False, "targetModules": ["q_proj", "v_proj"]},
    "smollm": {"r": 3, "loraAlpha": 7, "loraDropout": 0, "useRslora": True, "targetModules": "all-linear"},
    "qwen2": {"r": 2, "loraAlpha": 2, "loraDropout": 0, "useRslora": False, "targetModules": r".*\.(q|k|v|down)_proj"},
}


def stored_cases_agree():
    """Runs the programs that check stored cases; true when every one ends with 0."""
    agree = True
    for program, *arguments in PROGRAMS:
        print(f"== {' '.join([program, *arguments])}", flush=True)
        agree &= subprocess.run([sys.executable, str(REFERENCE / program), *arguments]).returncode == 0
    return agree


def fresh_models_agree(seed, node):
    """Fresh models through the project and back; prints the table, true when all is within its limits."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, seed)
        for name in tiny_models.ARCHITECTURES:
            check_model(bench, name)
            check_shards(bench, name)
            check_older_configs(bench, name)
            check_generation(bench, name)
        for name, settings in PEFT_ADAPTERS.items():
            check_generation(bench, name, settings)
            check_peft_adapter(bench, name, settings)
            check_bfloat16_base(bench, name, settings)
        for name, settings in NEW_ADAPTERS.items():
            check_new_adapter(bench, name, settings)
        agree = bench.run(node)
        return check_runs(bench.folder / "runs", node) and agree


def main():
    parser = argparse.ArgumentParser(description="Compare the project with the installed transformers and PEFT")
    parser.add_argument("--seed", type=int, default=None, help="seed of the random models; a new one by default")
    parser.add_argument("--node", default="node", help="command of Node (default: node)")
    parser.add_argument("--only", choices=("stored", "fresh"), help="only the stored cases, or only the fresh models")
    options = parser.parse_args()
    tiny_models.quiet()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, PEFT {peft.__version__}, seed {seed}")
    agree = options.only == "fresh" or stored_cases_agree()
    if options.only != "stored":
        agree &= fresh_models_agree(seed, options.node)
    print("everything agrees" if agree else f"something differs (repeat with --seed {seed})")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

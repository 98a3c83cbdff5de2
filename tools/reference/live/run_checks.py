"""What the command leaves behind: a run with LoRA and one of the whole model, opened by PEFT and transformers."""
import json
import subprocess

import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from case_generate import generate
from golden import REPOSITORY, relative_difference
from live.bench import print_table

EXAMPLES = REPOSITORY / "examples"
PROMPTS = ("SELECT name FROM", "In the beginning", "The function returns", "import os")
NEW_TOKENS = 16
MARGIN = 1e-3
LIMIT = 1e-5
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": "all-linear"}


def adapt(node, *arguments):
    """Runs the command and returns what it printed."""
    command = [node, str(REPOSITORY / "packages/adapt/bin/adapt.mjs"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"adapt {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def train(node, folder, **changes):
    """Four steps from the shipped base model; JSON is YAML. `changes` add to `model` and `data`."""
    config = {
        "model": {"path": str(EXAMPLES / "base" / "model"), **changes.get("model", {})},
        "tokenizer": str(EXAMPLES / "tokenizer"),
        "data": {"max_length": 128, "packing": True, **changes["data"]},
        "method": "uniform",
        "training": {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 3e-3},
        "output_dir": str(folder / "run"),
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(config))
    adapt(node, "train", folder / "config.yaml")
    return folder / "run"


def text_ids(tokenizer, prompt):
    return [tokenizer.bos_token_id, *tokenizer(prompt).input_ids]


def chat_ids(tokenizer, prompt):
    messages = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def different_answers(node, run, model, tokenizer, prompt_ids):
    """Of two clear prompts: answers of `adapt generate` whose greedy ids or text are not those of transformers."""
    different, compared = 0, 0
    for prompt in PROMPTS:
        if compared == 2:
            break
        theirs, margin = generate(model, prompt_ids(tokenizer, prompt), eos_id=-1, count=NEW_TOKENS)
        if margin < MARGIN or tokenizer.eos_token_id in theirs:
            continue  # a choice that noise could turn, or an end that the text leaves out
        arguments = ("--prompt", prompt, "--max-new-tokens", NEW_TOKENS, "--dtype", "float32", "--json")
        ours = json.loads(adapt(node, "generate", "--model", run, *arguments))
        different += ours["token_ids"] != theirs or ours["text"] != tokenizer.decode(theirs)
        compared += 1
    return different if compared else float("inf")


def logits_of(model, tokenizer):
    ids = torch.tensor([tokenizer(" ".join(PROMPTS)).input_ids])
    with torch.no_grad():
        return model(ids).logits


def check_runs(folder, node):
    """Trains, opens, generates, merges; prints the table, true when all is within its limits."""
    rows = {}
    texts = {"train": [{"path": str(EXAMPLES / "corpus" / "sql-commands.jsonl.gz")}]}
    run = train(node, folder / "lora", model={"lora": LORA}, data=texts)
    tuned = AutoPeftModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    adapt(node, "merge", run, "--out", folder / "merged", "--dtype", "float32")
    different = different_answers(node, run, tuned, tokenizer, text_ids)
    merged = AutoModelForCausalLM.from_pretrained(folder / "merged").eval()
    difference = relative_difference(logits_of(merged, tokenizer), logits_of(tuned.merge_and_unload(), tokenizer))
    rows["lora"] = {"answers that differ": (different, 0), "merged: logits": (difference, LIMIT)}

    run = train(node, folder / "whole", data=texts)
    whole = AutoModelForCausalLM.from_pretrained(run / "model").eval()
    different = different_answers(node, run, whole, AutoTokenizer.from_pretrained(run / "model"), text_ids)
    rows["whole model"] = {"answers that differ": (different, 0)}

    chats = {"train": [{"path": str(EXAMPLES / "instruct" / "train" / "sql-commands.jsonl.gz")}], "chat_template": "chatml"}
    run = train(node, folder / "chat", model={"lora": LORA}, data=chats)
    tuned = AutoPeftModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32).eval()
    different = different_answers(node, run, tuned, AutoTokenizer.from_pretrained(run / "model"), chat_ids)
    rows["lora, chat"] = {"answers that differ": (different, 0)}
    print_table("run", rows)
    return all(figure <= limit for row in rows.values() for figure, limit in row.values())

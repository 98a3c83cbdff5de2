"""Greedy generation of transformers on the random models of `case_architectures`, one prompt at a time."""
import torch

import case_architectures
import tiny_models
from golden import Case

SOURCES = ["case_architectures.py", "case_generate.py", "tiny_models.py"]
MODELS = ("llama", "llama3", "mistral", "qwen2-window", "qwen3")
PROMPT_LENGTHS, NEW_TOKENS, SEED = (1, 4, 12), 20, 500
MARGIN = 1e-3  # between the two largest logits of every step: float32 noise cannot turn the choice
REASON = "ids, compared exactly: the two largest logits of each step lie further apart than float32 noise (`smallestMargin`)"


def generate(model, prompt, eos_id, count=NEW_TOKENS):
    """New ids of greedy decoding (the one that stopped it included) and the smallest gap between the two largest logits."""
    prompt_1T = torch.tensor([prompt])
    # An end id has to be given, the config has one; -1 never comes.
    result = model.generate(
        prompt_1T, attention_mask=torch.ones_like(prompt_1T), do_sample=False, max_new_tokens=count,
        eos_token_id=eos_id, pad_token_id=tiny_models.PAD_ID, return_dict_in_generate=True, output_logits=True,
    )
    best = torch.cat(result.logits).topk(2, dim=-1).values
    return result.sequences[0, len(prompt) :].tolist(), (best[:, 0] - best[:, 1]).min().item()


def make_runs(model, seed):
    """Every prompt without a stop, then with one and with two ids that stop it. Prompts without a clear margin are passed over."""
    generator = torch.Generator().manual_seed(seed)
    runs, smallest = [], float("inf")
    for length in PROMPT_LENGTHS:
        margin = 0
        while margin < MARGIN:
            prompt = torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist()
            ids, margin = generate(model, prompt, eos_id=-1)
        runs.append({"prompt": prompt, "eos": [], "ids": ids})
        smallest = min(smallest, margin)
        for stops in ([ids[7]], [ids[-1], ids[5]]):
            runs.append({"prompt": prompt, "eos": stops, "ids": generate(model, prompt, eos_id=stops)[0]})
    return runs, smallest


def make_case(name, seed):
    model = tiny_models.make_model(name, case_architectures.SEEDS[name])
    runs, margin = make_runs(model, seed)
    return Case(
        package="adapt", name="generate-" + name, sources=SOURCES, seed=seed,
        config={"maxNewTokens": NEW_TOKENS, "smallestMargin": margin},
        reason=REASON, reference=case_architectures.reference(), model=f"../model-{name}/model", tensors={},
        values={"runs": runs},
    )


def cases():
    tiny_models.quiet()
    return [make_case(name, SEED + 10 * number) for number, name in enumerate(MODELS)]

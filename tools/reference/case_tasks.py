#!/usr/bin/env python3
"""Writes or compares `tasks`: small benchmark tasks as lm-evaluation-harness evaluates them, on the shipped base model.

    python tools/reference/case_tasks.py [--check] [--harness FOLDER]

Needs transformers, datasets and lm-eval 0.4.13, which may be installed without its dependencies
(`pip install --no-deps --target FOLDER lm-eval==0.4.13`): modules that it imports and that no task here uses are stood in for.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "packages" / "adapt" / "golden" / "tasks"
UNUSED = (
    "sacrebleu", "evaluate", "jsonlines", "pytablewriter", "rouge_score", "sqlitedict", "word2number",
    "tqdm_multiprocess", "nltk", "sklearn", "sklearn.metrics", "absl", "more_itertools", "tenacity",
)
BOOTSTRAP_ITERATIONS = 2000

SCIENCE = [
    ("What do plants take in from the air?", ["oxygen", "carbon dioxide", "helium", "dust"], 1),
    ("Which of these is a metal?", ["copper", "glass", "wood", "wool"], 0),
    ("What boils at 100 degrees?", ["gold", "iron", "water", "salt"], 2),
    ("What do bees make?", ["milk", "honey", "silk", "bread"], 1),
    ("Which animal lays eggs?", ["dog", "cow", "cat", "hen"], 3),
    ("What falls from clouds?", ["rain", "sand", "leaves", "coal"], 0),
    ("What keeps us on the ground?", ["wind", "light", "gravity", "heat"], 2),
    ("What is frozen water called?", ["steam", "ice", "fog", "dew"], 1),
    ("Where do fish live?", ["in trees", "in the sea", "in the sand", "in the sky"], 1),
]
SENTENCES = [
    ("The baker sold _ because it was fresh.", "the bread", "the oven", "because it was fresh.", 0),
    ("Ann gave Ruth the book since _ had asked for it.", "Ann", "Ruth", "had asked for it.", 1),
    ("The cup did not fit in the box because _ was too large.", "the cup", "the box", "was too large.", 0),
    ("The river froze and _ could be crossed on foot.", "the bridge", "the river", "could be crossed on foot.", 1),
    ("The lamp lit the room after _ was switched on.", "the lamp", "the room", "was switched on.", 0),
]
PAIRS = [
    ("The dogs bark at night.", "The dogs barks at night."),
    ("She has eaten the apple.", "She have eaten the apple."),
    ("Those books are heavy.", "Those books is heavy."),
    ("He is taller than his brother.", "He is more taller than his brother."),
]
TEXTS = [
    "SELECT name FROM users WHERE id = 1; the table has three columns and one index.",
    "In the beginning was a small program, and it printed a line.\n\nThen it printed another one.",
    "def add(a, b):\n    return a + b\n",
    "Numbers such as 1, 2 and 3 are read one after the other.  Blanks count too.",
]
LAST_WORDS = [
    ("The sun rises in the", " east"),
    ("CREATE TABLE users (id integer PRIMARY", " KEY"),
    ("She opened the door and went", " in"),
    ("return the", " value"),
    ("one two three", " four"),
]
SUMS = [("2 + 3", "5"), ("10 - 4", "6"), ("7 + 1", "8"), ("9 - 9", "0"), ("4 + 4", "8")]

DOCUMENTS = {
    "science.test": [
        {"question": q, "choices": {"text": c, "label": ["A", "B", "C", "D"]}, "answerKey": "ABCD"[a]}
        for q, c, a in SCIENCE[:5]
    ],
    "science.validation": [
        {"question": q, "choices": {"text": c, "label": ["A", "B", "C", "D"]}, "answerKey": "ABCD"[a]}
        for q, c, a in SCIENCE[5:]
    ],
    "letters.test": [{"question": q, "options": c, "answer": a, "subject": "science"} for q, c, a in SCIENCE],
    "sentences.test": [
        {"sentence": s, "option1": a, "option2": b, "rest": r, "answer": str(n + 1)} for s, a, b, r, n in SENTENCES
    ],
    "pairs.test": [{"good": g, "bad": b} for g, b in PAIRS],
    "texts.test": [{"page": t} for t in TEXTS],
    "words.test": [{"text": c + w, "context": c, "word": w} for c, w in LAST_WORDS],
    "sums.test": [{"sum": q, "result": a} for q, a in SUMS],
}


def data(name, *splits):
    return {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {split: f"{name}.{split}.jsonl" for split in splits}},
        **{f"{split}_split": split for split in splits},
    }


def metrics(*names):
    lower = {"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score"}
    aggregation = {"perplexity": "perplexity", "word_perplexity": "weighted_perplexity",
                   "byte_perplexity": "weighted_perplexity", "bits_per_byte": "bits_per_byte",
                   "brier_score": "brier_score"}
    return [{"metric": n, "aggregation": aggregation.get(n, "mean"), "higher_is_better": n not in lower} for n in names]


TASKS = [
    {
        "task": "science", **data("science", "test", "validation"), "fewshot_split": "validation",
        "output_type": "multiple_choice", "num_fewshot": 2,
        "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "{{choices.text}}",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "metric_list": metrics("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier_score"),
    },
    {
        "task": "letters", **data("letters", "test"), "fewshot_split": "test",
        "fewshot_config": {"sampler": "first_n"}, "output_type": "multiple_choice", "num_fewshot": 3,
        "description": "Questions about {{subject}}.\n\n",
        "doc_to_text": "{{question.strip()}}\nA. {{options[0]}}\nB. {{options[1]}}\nC. {{options[2]}}\nD. {{options[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "answer", "metric_list": metrics("acc"),
    },
    {
        "task": "drawn", **data("letters", "test"), "fewshot_split": "test", "output_type": "multiple_choice",
        "num_fewshot": 4, "doc_to_text": "{{question}}", "doc_to_choice": "options", "doc_to_target": "answer",
        "target_delimiter": " -> ", "fewshot_delimiter": "\n", "metric_list": metrics("acc", "exact_match"),
    },
    {
        "task": "sentences", **data("sentences", "test"), "output_type": "multiple_choice",
        "doc_to_text": "{{ {'1': 0, '2': 1}[answer] }}",
        "doc_to_choice": "{% set at = sentence.find('_') %}{{ [sentence[:at] ~ option1, sentence[:at] ~ option2] }}",
        "doc_to_target": "rest", "metric_list": metrics("acc"),
    },
    {
        "task": "pairs", **data("pairs", "test"), "output_type": "multiple_choice", "doc_to_text": "",
        "doc_to_choice": "{{[good, bad]}}", "doc_to_target": 0, "target_delimiter": "", "metric_list": metrics("acc"),
    },
    {
        "task": "texts", **data("texts", "test"), "output_type": "loglikelihood_rolling", "doc_to_text": "",
        "doc_to_target": "page", "metric_list": metrics("word_perplexity", "byte_perplexity", "bits_per_byte"),
    },
    {
        "task": "words", **data("words", "test"), "output_type": "loglikelihood", "doc_to_text": "{{context}}",
        "doc_to_target": "{{word}}", "target_delimiter": "", "metric_list": metrics("perplexity", "acc"),
    },
    {
        "task": "sums", **data("sums", "test"), "fewshot_split": "test", "output_type": "generate_until",
        "num_fewshot": 2, "doc_to_text": "{{sum}} =", "doc_to_target": "{{result}}", "gen_prefix": "It is",
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 12},
        "filter_list": [
            {"name": "number", "filter": [{"function": "regex", "regex_pattern": "(-?[0-9]+)"}, {"function": "take_first"}]},
            {"name": "as-is", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]},
        ],
        "metric_list": [{**metrics("exact_match")[0], "ignore_case": True, "ignore_punctuation": True}],
    },
]


def stand_in():
    """Modules that the harness imports at its start: any name of theirs is a function that does nothing."""
    for name in UNUSED:
        if name in sys.modules:
            continue
        try:
            if importlib.util.find_spec(name) is not None:
                continue
        except ModuleNotFoundError:
            pass
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        module.__getattr__ = lambda key: (_ for _ in ()).throw(AttributeError(key)) if key.startswith("__") else (lambda *a, **k: None)
        sys.modules[name] = module


def evaluate(folder):
    import datasets
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate as run
    from lm_eval.models.huggingface import HFLM

    datasets.disable_progress_bars()
    os.environ["DISABLE_MULTIPROC"] = "1"
    with tempfile.TemporaryDirectory() as merged:
        for source in (REPOSITORY / "examples" / "base" / "model", REPOSITORY / "examples" / "tokenizer"):
            for path in source.iterdir():
                shutil.copy(path, merged)
        model = HFLM(pretrained=merged, dtype="float32", device="cpu", batch_size=4)
    tasks = {}
    for config in TASKS:
        files = config["dataset_kwargs"]["data_files"]
        there = {split: str(folder / name) for split, name in files.items()}
        task = ConfigurableTask(config={**json.loads(json.dumps(config)), "dataset_kwargs": {"data_files": there}})
        task.set_fewshot_seed(1234)
        tasks[config["task"]] = task
    return run(model, tasks, bootstrap_iters=BOOTSTRAP_ITERATIONS, log_samples=True)


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def expected(results):
    import lm_eval

    samples = {
        task: [
            {key: plain(sample[key]) for key in ("doc_id", "filter", "arguments", "resps", "filtered_resps", *sample["metrics"])}
            for sample in found
        ]
        for task, found in results["samples"].items()
    }
    figures = {task: {k: plain(v) for k, v in found.items() if "," in k} for task, found in results["results"].items()}
    return {
        "reference": {"name": "lm-evaluation-harness", "version": getattr(lm_eval, "__version__", "0.4.13")},
        "bootstrapIterations": BOOTSTRAP_ITERATIONS,
        "results": figures,
        "samples": samples,
    }


def distance(a, b):
    """Largest difference of numbers at the same place; infinite where anything else differs."""
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or a is None:
        return 0.0 if a == b else float("inf")
    if isinstance(a, dict):
        return max([distance(a[k], b.get(k)) for k in a], default=0.0) if a.keys() == b.keys() else float("inf")
    if isinstance(a, list):
        return max([distance(x, y) for x, y in zip(a, b)], default=0.0) if len(a) == len(b) else float("inf")
    return abs(a - b) / max(1.0, abs(b))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--harness", help="folder that lm-eval was installed to")
    options = parser.parse_args()
    if options.harness:
        sys.path.append(options.harness)
    stand_in()
    if not options.check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, documents in DOCUMENTS.items():
            (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
        for config in TASKS:
            # JSON is YAML: what the harness was given, without a writer of YAML between.
            (FOLDER / f"{config['task']}.yaml").write_text(json.dumps(config, indent=2) + "\n")
    found = expected(evaluate(FOLDER))
    path = FOLDER / "expected.json"
    if options.check:
        largest = distance(json.loads(json.dumps(found)), json.loads(path.read_text()))
        print(f"tasks: largest difference {largest:.2e}")
        return 0 if largest < 1e-4 else 1
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"tasks: written with lm-eval {found['reference']['version']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

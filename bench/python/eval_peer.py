#!/usr/bin/env python3
"""lm-evaluation-harness on the tasks of `bench:eval`, driven over stdin and stdout.

    python eval_peer.py --model FOLDER --threads 2 [--harness FOLDER]

One JSON object per line. First {"ready": true, "versions": ...}; for each line {"task": PATH, "num_fewshot": k, "limit": n, "batch_size": b} the harness
evaluates the task, prompts and figures included, and the program prints {"seconds": s, "log_likelihoods": [...]}; {"quit": true} ends it.
"""
import argparse
import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "reference"))
from case_tasks import stand_in  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--harness")
    options = parser.parse_args()
    if options.harness:
        sys.path.append(options.harness)
    answer, sys.stdout = sys.stdout, sys.stderr
    stand_in()
    import datasets
    import torch
    import transformers
    import yaml
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    torch.set_num_threads(options.threads)
    model = HFLM(pretrained=options.model, dtype="float32", device="cpu", batch_size=1)

    def emit(record):
        print(json.dumps(record), file=answer, flush=True)

    emit({"ready": True, "versions": {"torch": torch.__version__, "transformers": transformers.__version__}})
    tasks = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("quit"):
            break
        key = (asked["task"], asked["num_fewshot"])
        if key not in tasks:
            config = yaml.safe_load(Path(asked["task"]).read_text())
            tasks[key] = ConfigurableTask(config={**config, "num_fewshot": asked["num_fewshot"]})
        task = tasks[key]
        task.set_fewshot_seed(1234)
        model.batch_size_per_gpu = asked["batch_size"]
        start = time.perf_counter()
        found = evaluate(model, {task.config.task: task}, limit=asked["limit"], bootstrap_iters=0)
        seconds = time.perf_counter() - start
        samples = sorted(found["samples"][task.config.task], key=lambda sample: sample["doc_id"])
        likelihoods = [resp[0][0] for sample in samples for resp in sample["resps"]]
        emit({"seconds": seconds, "log_likelihoods": [float(value) for value in likelihoods]})


if __name__ == "__main__":
    main()

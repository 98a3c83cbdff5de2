#!/usr/bin/env python3
"""What `bench:sft --peer peft` compares with: LoRA of a transformers model with PEFT in a training loop of its own.

Argument, requests and answers are those of sft_peer.py; this one needs torch, transformers and peft only.
"""
import json
import platform
import sys
import time
from contextlib import nullcontext

import peft
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

OPTIONS = json.loads(sys.argv[1])
DEVICE = OPTIONS["device"]
ON_DEVICE = DEVICE != "cpu"


def emit(record):
    print(json.dumps(record), flush=True)


def peak_resident_bytes():
    """Highest resident memory of this process so far."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


class Trainer:
    def __init__(self):
        dtype = getattr(torch, OPTIONS["dtype"])
        base = transformers.AutoModelForCausalLM.from_pretrained(
            OPTIONS["model"], dtype=dtype, attn_implementation="sdpa").to(DEVICE)
        base.config.use_cache = False
        if OPTIONS["gradient_checkpointing"]:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model = peft.PeftModel.from_pretrained(base, OPTIONS["adapter"], is_trainable=True)
        self.model.train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=OPTIONS["learning_rate"], weight_decay=0.0, fused=True)
        with open(OPTIONS["data"]) as file:
            self.rows = json.load(file)
        self.done = 0
        self.gradients = OPTIONS["gradients"]

    def autocast(self):
        if OPTIONS["dtype"] != "bfloat16":
            return nullcontext()
        return torch.autocast(DEVICE.split(":")[0], dtype=torch.bfloat16)

    def batch(self):
        """Rows padded on the right; the labels of prompts and padding are -100."""
        count = OPTIONS["rows"]
        rows = [self.rows[(self.done * count + i) % len(self.rows)] for i in range(count)]
        longest = max(len(row["input_ids"]) for row in rows)
        tokens = torch.full((count, longest), OPTIONS["pad_id"])
        labels = torch.full((count, longest), -100)
        mask = torch.zeros((count, longest), dtype=torch.long)
        for i, row in enumerate(rows):
            length = len(row["input_ids"])
            tokens[i, :length] = torch.tensor(row["input_ids"])
            kept = torch.tensor(row["completion_mask"], dtype=torch.bool)
            labels[i, :length] = tokens[i, :length].masked_fill(~kept, -100)
            mask[i, :length] = 1
        self.done += 1
        return [tensor.to(DEVICE, non_blocking=True) for tensor in (tokens, labels, mask)]

    def step(self):
        tokens, labels, mask = self.batch()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            logits = self.model(input_ids=tokens, attention_mask=mask).logits
        logits, labels = logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1)
        loss = F.cross_entropy(logits.float(), labels, ignore_index=-100)
        del logits
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trained, OPTIONS["max_grad_norm"])
        if self.gradients is not None:
            named = {name.replace(".default.", "."): parameter.grad.float().contiguous()
                     for name, parameter in self.model.named_parameters() if parameter.grad is not None}
            save_file(named, self.gradients)
            self.gradients = None
        self.optimizer.step()
        return loss, norm

    def run(self, steps):
        start, start_cpu = time.perf_counter(), time.process_time()
        results = [tuple(value.item() for value in self.step()) for _ in range(steps)]
        if ON_DEVICE:
            torch.cuda.synchronize()
        return {
            "losses": [loss for loss, _ in results], "grad_norms": [norm for _, norm in results],
            "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu,
            "peak_resident_bytes": peak_resident_bytes(),
            "peak_device_bytes": torch.cuda.max_memory_allocated() if ON_DEVICE else 0,
        }

    def describe(self):
        parameters = list(self.model.parameters())
        return {
            "ready": True, "python": platform.python_version(), "torch": torch.__version__,
            "peft": peft.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads(),
            "parameters": sum(parameter.numel() for parameter in parameters),
            "trained_parameters": sum(parameter.numel() for parameter in self.trained),
            "dtypes": sorted({f"{'adapter' if p.requires_grad else 'base'} {str(p.dtype)[6:]}" for p in parameters}),
            "loss": "cross_entropy of all logits", "optimizer": "fused AdamW", "attention": "sdpa",
        }


def main():
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(OPTIONS["threads"])
    trainer = Trainer()
    emit(trainer.describe())
    for line in sys.stdin:
        request = json.loads(line) if line.strip() else {}
        if "steps" not in request:
            return
        emit(trainer.run(request["steps"]))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        emit({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)

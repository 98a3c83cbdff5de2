#!/usr/bin/env python3
"""What `bench:sft` compares with: LoRA instruction tuning by TRL's SFTTrainer and PEFT, driven over stdin and stdout.

    python sft_peer.py '{"model": "model/", "adapter": "adapter/", "data": "data.json", "dtype": "bfloat16", ...}'

The one argument is a JSON object:
    model      Hugging Face folder with the base weights, in the dtype of `dtype`
    adapter    PEFT folder with the initial adapter; its adapter_config.json says rank and targets
    data       JSON: a list of {"input_ids": [...], "completion_mask": [...]}, rows in the order of training
    dtype      "bfloat16": bf16 base, float32 adapters, bf16 autocast (SFTConfig's default); "float32": all float32
    rows       rows of a batch, padded on the right to the longest of the batch
    device     "cpu", "cuda" or "cuda:N"
    gradient_checkpointing, threads, learning_rate, max_grad_norm, pad_id
    gradients  path or null: the adapter's gradients of the first step, clipped, as safetensors

It prints one JSON object per line: first {"ready": true, versions, ...}. For each line {"steps": n} on stdin it runs n
optimizer steps of `trainer.train()` and prints {"losses", "grad_norms", "seconds", "cpu_seconds",
"peak_resident_bytes", "peak_device_bytes"}; {"quit": true} or the end
of the input ends it. On an error it prints {"error": ...} and exits with 1.
"""
import json
import os
import platform
import sys
import tempfile
import time

import torch

OPTIONS = json.loads(sys.argv[1])
torch.set_num_threads(OPTIONS["threads"])
ON_DEVICE = OPTIONS["device"] != "cpu"

import datasets  # noqa: E402
import peft  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402


def emit(record):
    print(json.dumps(record), file=ANSWERS, flush=True)


def peak_resident_bytes():
    """Highest resident memory of this process so far."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


class Finished(Exception):
    """The driver wants no more steps."""


class StepTrainer(trl.SFTTrainer):
    """SFTTrainer that also keeps the loss of each step, as a tensor: reading it would wait."""

    def training_step(self, *args, **kwargs):
        loss = super().training_step(*args, **kwargs)
        self.step_losses.append(loss)
        return loss

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        self.step_norms.append(norm)
        return norm


class Blocks(transformers.TrainerCallback):
    """Lets `train()` run in blocks of steps: reads how many, times them, answers."""

    def __init__(self):
        self.trainer = None
        self.left = 0
        self.gradients = OPTIONS["gradients"]

    def wait(self):
        line = sys.stdin.readline()
        request = json.loads(line) if line.strip() else {}
        if "steps" not in request:
            raise Finished
        self.left = request["steps"]
        self.trainer.step_losses, self.trainer.step_norms = [], []
        self.start, self.start_cpu = time.perf_counter(), time.process_time()

    def on_step_begin(self, args, state, control, **kwargs):
        if self.left == 0:
            self.wait()

    def on_optimizer_step(self, args, state, control, **kwargs):
        if self.gradients is None:
            return
        names = {}
        for name, parameter in self.trainer.model.named_parameters():
            if parameter.grad is not None:
                names[name.replace(".default.", ".")] = parameter.grad.float().contiguous()
        save_file(names, self.gradients)
        self.gradients = None

    def on_step_end(self, args, state, control, **kwargs):
        self.left -= 1
        if self.left > 0:
            return
        if ON_DEVICE:
            torch.cuda.synchronize()
        seconds, cpu_seconds = time.perf_counter() - self.start, time.process_time() - self.start_cpu
        emit({
            "losses": [float(loss) for loss in self.trainer.step_losses],
            "grad_norms": [float(norm) for norm in self.trainer.step_norms],
            "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_resident_bytes": peak_resident_bytes(),
            "peak_device_bytes": torch.cuda.max_memory_allocated() if ON_DEVICE else 0,
        })
        self.wait()


def create_trainer(folder):
    with open(OPTIONS["data"]) as file:
        dataset = datasets.Dataset.from_list(json.load(file))
    bf16 = OPTIONS["dtype"] == "bfloat16"
    config = trl.SFTConfig(
        output_dir=folder, per_device_train_batch_size=OPTIONS["rows"], max_steps=10**9,
        bf16=bf16, gradient_checkpointing=OPTIONS["gradient_checkpointing"], use_cpu=not ON_DEVICE,
        learning_rate=OPTIONS["learning_rate"], lr_scheduler_type="constant", weight_decay=0.0,
        max_grad_norm=OPTIONS["max_grad_norm"], completion_only_loss=True, packing=False, max_length=None,
        train_sampling_strategy="sequential", dataloader_pin_memory=False,
        logging_strategy="no", save_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True,
        # Without `dtype` TRL would hold the frozen base in float32, whatever the checkpoint's dtype is.
        model_init_kwargs={"attn_implementation": "sdpa", "dtype": OPTIONS["dtype"]},
    )
    with open(os.path.join(OPTIONS["adapter"], "adapter_config.json")) as file:
        adapter = json.load(file)
    lora = peft.LoraConfig(
        r=adapter["r"], lora_alpha=adapter["lora_alpha"], lora_dropout=adapter["lora_dropout"],
        target_modules=adapter["target_modules"], bias="none", task_type="CAUSAL_LM",
    )
    blocks = Blocks()
    trainer = StepTrainer(model=OPTIONS["model"], args=config, train_dataset=dataset, peft_config=lora,
                          callbacks=[blocks])
    blocks.trainer = trainer
    initial = load_file(os.path.join(OPTIONS["adapter"], "adapter_model.safetensors"))
    loaded = peft.set_peft_model_state_dict(trainer.model, initial)
    if loaded.unexpected_keys or any("lora_" in key for key in loaded.missing_keys):
        raise RuntimeError(f"the initial adapter does not fit: {loaded.unexpected_keys}")
    return trainer


def describe(trainer):
    parameters = list(trainer.model.parameters())
    return {
        "ready": True, "python": platform.python_version(), "torch": torch.__version__, "trl": trl.__version__,
        "peft": peft.__version__, "transformers": transformers.__version__, "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trained_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "dtypes": sorted({f"{'adapter' if p.requires_grad else 'base'} {str(p.dtype)[6:]}" for p in parameters}),
        "loss": trainer.args.loss_type, "optimizer": str(trainer.args.optim),
        "attention": trainer.model.config._attn_implementation, "bf16_autocast": trainer.args.bf16,
    }


def main():
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        trainer = create_trainer(folder)
        emit(describe(trainer))
        try:
            trainer.train()
        except Finished:
            pass


if __name__ == "__main__":
    # Libraries print to stdout as they like: the answers go to the real one, everything else to stderr.
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        main()
    except Exception as error:
        emit({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)

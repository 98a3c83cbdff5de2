#!/usr/bin/env python3
"""The training step that the benchmarks compare with: a Llama in eager PyTorch, driven over stdin and stdout.

    python peer.py --dtype float32 --threads 2 --weights init.safetensors --data tokens.bin

One JSON object per line. First the program prints
    {"ready": true, "torch": ..., "python": ..., "threads": ..., "parameters": ..., "optimizer": ..., "attention": ...}
then, for each line {"steps": n} it runs n optimizer steps and prints
    {"losses": [...], "grad_norms": [...], "seconds": s, "step_seconds": [...], "peak_tensor_bytes": p}
and {"quit": true} or the end of the input ends it. On an error it prints {"error": ...} and exits with 1.

--weights  safetensors with Hugging Face names (float32); without it, N(0, 0.02^2) matrices from --seed
--data     int32, little-endian, batches of rows * (length + 1) ids one after another; used in turn, then again
           from the start; without it, random ids from --seed
--measure-peak N   runs N steps under the memory profiler, prints one object with `peak_tensor_bytes`, and ends.
           The peak is exact and counts parameters, gradients, optimizer state and activations, not the data.
"""
import argparse
import ctypes
import json
import platform
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "reference"))
from llama import ATTENTION, Llama  # noqa: E402
from safetensors_file import load_file, save_file  # noqa: E402
from tensor_peak import measure_peak  # noqa: E402


def parse_options():
    parser = argparse.ArgumentParser(description="Peer training program in eager PyTorch")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32",
                        help="bfloat16 is autocast with float32 parameters")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights")
    parser.add_argument("--data")
    parser.add_argument("--seed", type=int, default=0)
    for name, value in (("layers", 6), ("hidden", 256), ("heads", 8), ("kv-heads", 4), ("ffn", 688),
                        ("vocab", 8192), ("rows", 16), ("length", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--eps", type=float, default=1e-5, help="of the norms")
    parser.add_argument("--theta", type=float, default=10000.0)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.95))
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--max-grad-norm", type=float, default=1.0)
    parser.add_argument("--optimizer", choices=["auto", "fused", "foreach", "loop", "default"], default="auto",
                        help="auto: fused where PyTorch has it for the device, else PyTorch's default")
    parser.add_argument("--compile", action="store_true", help="forward and loss through torch.compile")
    parser.add_argument("--measure-peak", type=int, metavar="N")
    parser.add_argument("--preload", metavar="LIBRARY", help="load a shared library before anything is allocated")
    parser.add_argument("--save-weights", metavar="PATH", help="write the initial parameters, then go on")
    return parser.parse_args()


def create_optimizer(parameters, options):
    """(AdamW, which implementation). `auto` is the fastest: fused, else the choice PyTorch makes by itself."""
    settings = {"lr": options.learning_rate, "betas": tuple(options.betas), "eps": 1e-8,
                "weight_decay": options.weight_decay}
    flags = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}, "default": {}}
    if options.optimizer != "auto":
        return torch.optim.AdamW(parameters, **settings, **flags[options.optimizer]), options.optimizer
    try:
        return torch.optim.AdamW(parameters, **settings, fused=True), "fused"
    except (TypeError, RuntimeError):  # AdamW has no `fused` yet, or not on this device
        return torch.optim.AdamW(parameters, **settings), "default"


def read_batches(options):
    width = options.length + 1
    if options.data is None:
        generator = torch.Generator().manual_seed(options.seed)
        tokens = torch.randint(options.vocab, (4, options.rows, width), generator=generator)
    else:
        raw = bytearray(Path(options.data).read_bytes())
        tokens = torch.frombuffer(raw, dtype=torch.int32)
        if tokens.numel() == 0 or tokens.numel() % (options.rows * width):
            raise ValueError(f"{options.data}: {tokens.numel()} ids are not whole batches of {options.rows} x {width}")
        tokens = tokens.view(-1, options.rows, width).long()
    return [batch.contiguous().to(options.device) for batch in tokens]


class Trainer:
    def __init__(self, options):
        self.options, self.batches, self.done = options, read_batches(options), 0
        self.weights = load_file(options.weights) if options.weights is not None else None

    def build(self):
        """Model and optimizer; apart from the constructor so that the memory profiler can see it."""
        torch.manual_seed(self.options.seed)
        self.model = Llama(vars(self.options)).to(self.options.device)
        if self.weights is not None:
            self.model.load_state_dict(self.weights, strict=True)
        self.parameters = list(self.model.parameters())
        self.optimizer, self.optimizer_kind = create_optimizer(self.parameters, self.options)
        if self.options.compile:
            self.loss = torch.compile(self.loss)

    def autocast(self):
        if self.options.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.options.device.split(":")[0], dtype=torch.bfloat16)

    def loss(self, batch):
        """Mean cross-entropy; on return the logits are no longer held here, only by the graph if it needs them."""
        with self.autocast():
            logits = self.model(batch[:, :-1])
        return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))

    def step(self):
        """(loss, gradient norm before clipping) as floats, which waits for the device."""
        batch = self.batches[self.done % len(self.batches)]
        self.done += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.options.max_grad_norm)
        self.optimizer.step()
        return loss.item(), norm.item()

    def run(self, steps):
        cuda = self.options.device != "cpu"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
        losses, norms, seconds = [], [], []
        begin = time.perf_counter()
        for _ in range(steps):
            start = time.perf_counter()
            loss, norm = self.step()
            if cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            losses.append(loss)
            norms.append(norm)
        total = time.perf_counter() - begin
        peak = torch.cuda.max_memory_allocated() if cuda else None
        return {"losses": losses, "grad_norms": norms, "seconds": total, "step_seconds": seconds,
                "peak_tensor_bytes": peak}

    def describe(self):
        return {
            "ready": True, "torch": torch.__version__, "python": platform.python_version(),
            "device": self.options.device, "dtype": self.options.dtype, "threads": torch.get_num_threads(),
            "parameters": sum(parameter.numel() for parameter in self.parameters),
            "optimizer": self.optimizer_kind,
            "attention": ATTENTION, "compiles": hasattr(torch, "compile"), "compiled": self.options.compile,
        }


def measure(trainer, steps):
    def work():
        trainer.build()
        return trainer.run(steps)

    if trainer.options.device != "cpu":
        result = work()
    else:
        result, result_peak = measure_peak(work)
        result["peak_tensor_bytes"] = result_peak
    held = sum(parameter.numel() * parameter.element_size() for parameter in trainer.parameters)
    return {**trainer.describe(), **result, "parameter_bytes": held}


def emit(record):
    print(json.dumps(record), flush=True)


def main():
    options = parse_options()
    if options.preload is not None:
        ctypes.CDLL(options.preload)
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    if options.measure_peak is not None:
        emit(measure(trainer, options.measure_peak))
        return
    trainer.build()
    if options.save_weights is not None:
        save_file(trainer.model.state_dict(), options.save_weights, {"format": "pt"})
    trainer.weights = None
    emit(trainer.describe())
    for line in sys.stdin:
        request = json.loads(line) if line.strip() else {}
        if request.get("quit"):
            return
        if "steps" in request:
            emit(trainer.run(request["steps"]))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        emit({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)

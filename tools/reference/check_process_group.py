#!/usr/bin/env python3
"""Ranks of this project and of PyTorch in one job: the same group, the same bits; torchrun starts and restarts ours.

    .venv/bin/python tools/reference/check_process_group.py [--node COMMAND]

Needs the PyTorch that the project is built for (LIBTORCH_USE_PYTORCH=1 npm run setup): stores of distant versions do
not understand each other. Exit 1 on a difference, 77 with the reason where it cannot be checked here.
"""
import argparse
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
RANK = HERE / "live" / "process-group-rank.mjs"

# What a user of PyTorch writes; nothing in it knows of the other ranks.
PYTHON_RANK = """
import hashlib, torch, torch.distributed as dist
dist.init_process_group('cpu:gloo')
rank = dist.get_rank()
lines = []
for dtype in (torch.float32, torch.float64, torch.int32, torch.int64):
    i = torch.arange(1_000_003, dtype=torch.float64)
    x = (((i * (rank + 3)) % 1013 - 500) * (0.37 if dtype.is_floating_point else 1)).to(dtype)
    for op in (dist.ReduceOp.SUM, dist.ReduceOp.MAX, dist.ReduceOp.MIN):
        y = x.clone()
        dist.all_reduce(y, op)
        lines.append(hashlib.sha256(y.numpy().tobytes()).hexdigest())
dist.barrier()
print('hashes', ' '.join(lines), flush=True)
"""


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return str(server.getsockname()[1])


def run_mixed(node):
    """Ranks 0 and 2 are ours, rank 1 is PyTorch's."""
    port = free_port()
    commands = [[node, str(RANK), "mixed"], [sys.executable, "-c", PYTHON_RANK], [node, str(RANK), "mixed"]]
    ranks = []
    for rank, command in enumerate(commands):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ranks.append(subprocess.Popen(command, env={**os.environ, **place}, stdout=subprocess.PIPE, text=True))
    outputs = [rank.communicate(timeout=180)[0] for rank in ranks]
    hashes = [re.search(r"hashes (.*)", output) for output in outputs]
    if any(rank.returncode != 0 for rank in ranks) or None in hashes:
        return f"exit codes {[rank.returncode for rank in ranks]}"
    texts = [found.group(1).split() for found in hashes]
    print(f"one job of two ranks of ours and one of PyTorch: {len(texts[0])} reductions of 1,000,003 elements")
    return None if texts[0] == texts[1] == texts[2] else "the bits differ"


def run_torchrun(node, task, restarts):
    torchrun = pathlib.Path(sys.executable).parent / "torchrun"
    launcher = [str(torchrun)] if torchrun.exists() else [sys.executable, "-m", "torch.distributed.run"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts), "--no-python"]
        command = [*launcher, *options, node, str(RANK), task, folder]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
        return ended, {file.name: file.read_text() for file in pathlib.Path(folder).iterdir()}


def check_torchrun(node):
    ended, files = run_torchrun(node, "sum", 0)
    print(f"torchrun: exit {ended.returncode}, {files}")
    if ended.returncode != 0 or files != {"sum-0-0": "3", "sum-1-0": "3"}:
        return f"a job of two ranks: {ended.stderr[-2000:]}"
    ended, files = run_torchrun(node, "killed once", 1)
    print(f"torchrun with a restart: exit {ended.returncode}, {files}")
    survived = files.get("failure-0-0", "")
    if ended.returncode != 0 or files.get("sum-0-1") != "3" or not survived.startswith("PEER_FAILED rank 1"):
        return f"a job with a restart: {ended.stderr[-2000:]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", default="node", help="Node.js (default: node)")
    node = parser.parse_args().node
    try:
        import torch
    except ImportError:
        print("needs PyTorch in this Python")
        return 77
    built = subprocess.run([node, str(RANK), "version"], capture_output=True, text=True)
    ours, theirs = built.stdout.strip(), torch.__version__.split("+")[0]
    if ours != theirs:
        print(f"needs the project built for PyTorch {theirs}, it is built for {ours or built.stderr[-300:]}")
        return 77
    for check in (run_mixed, check_torchrun):
        fault = check(node)
        if fault:
            print(f"FAILED: {fault}")
            return 1
    print("all equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())

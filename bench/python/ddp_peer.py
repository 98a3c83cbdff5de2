#!/usr/bin/env python3
"""One rank of PyTorch's DistributedDataParallel over Gloo, for `bench:distributed`: peer.py's step, with its options and its lines.

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT name the job, as torchrun sets them. --rows are those of one rank; the data are global
batches, of which every rank takes its rows. Blocks have `cpu_seconds` of this process besides.
"""
import json
import os
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from peer import Trainer, emit, parse_options


class RankTrainer(Trainer):
    def __init__(self, options):
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        rows, options.rows = options.rows, options.rows * self.world
        super().__init__(options)
        self.batches = [batch[self.rank * rows:(self.rank + 1) * rows].contiguous() for batch in self.batches]

    def build(self):
        super().build()
        if self.world > 1:
            dist.init_process_group("gloo")
            self.model = DistributedDataParallel(self.model, gradient_as_bucket_view=True)

    def run(self, steps):
        start = time.process_time()
        block = super().run(steps)
        return {**block, "cpu_seconds": time.process_time() - start}


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    trainer = RankTrainer(options)
    trainer.build()
    trainer.weights = None
    emit(trainer.describe())
    for line in sys.stdin:
        request = json.loads(line) if line.strip() else {}
        if request.get("quit"):
            break
        if "steps" in request:
            emit(trainer.run(request["steps"]))
    if trainer.world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the driver reads stdout
        emit({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)

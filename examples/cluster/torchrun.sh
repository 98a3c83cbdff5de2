#!/bin/bash
# Trains under PyTorch's own launcher, on this machine or on several: bash examples/cluster/torchrun.sh CONFIG.
# Any Python with PyTorch gives torchrun; the ranks themselves need none. On every machine, with the same NODES and HEAD:
#   NODES=2 HEAD=node0:29500 NPROC=8 bash examples/cluster/torchrun.sh run.yaml
# torchrun starts all ranks again after a failure; they go on from their last checkpoint.
exec torchrun \
  --nnodes "${NODES:-1}" \
  --nproc-per-node "${NPROC:-2}" \
  --max-restarts "${RESTARTS:-3}" \
  --rdzv-backend c10d \
  --rdzv-endpoint "${HEAD:-localhost:0}" \
  --no-python \
  "${ADAPT:-node_modules/.bin/adapt}" train "${1:?give a config}"

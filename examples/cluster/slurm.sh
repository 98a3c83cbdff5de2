#!/bin/bash
#SBATCH --job-name=adapt
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@180
# Trains on all tasks of the job: sbatch examples/cluster/slurm.sh CONFIG, in the folder with node_modules/.
# srun starts a rank for each task. Three minutes before the limit Slurm sends USR1 to all of them; they save together and exit with 75,
# and the job queues again and goes on.
export MASTER_PORT=$((15000 + SLURM_JOB_ID % 10000))
srun --kill-on-bad-exit=1 node_modules/.bin/adapt train "${1:?give a config}" &
step=$!
trap 'kill -TERM "$step"' TERM INT
# A signal ends `wait` before the step has ended.
while :; do
  wait "$step"
  code=$?
  kill -0 "$step" 2>/dev/null || break
done
if [ "$code" -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"

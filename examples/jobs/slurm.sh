#!/bin/bash
#SBATCH --job-name=adapt
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
# Trains under a time limit: sbatch examples/jobs/slurm.sh CONFIG, in the folder with node_modules/.
# Three minutes before the limit Slurm sends USR1 to this script, which hands it on; the run saves and exits with 75, and the
# job queues again and goes on. Started through npx the signal would be lost: npx does not hand it on.
node_modules/.bin/adapt train "${1:?give a config}" &
run=$!
trap 'kill -USR1 "$run"' USR1
trap 'kill -TERM "$run"' TERM INT
# A signal ends `wait` before the run has ended.
while :; do
  wait "$run"
  code=$?
  kill -0 "$run" 2>/dev/null || break
done
if [ "$code" -eq 75 ] && [ -n "${SLURM_JOB_ID:-}" ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"

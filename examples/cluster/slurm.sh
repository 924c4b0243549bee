#!/bin/bash
# One job of nasgauge on a SLURM cluster, as an array: each task runs its own seeds, and the last command merges them.
#
#   sbatch slurm.sh              100 tasks with 10 seeds each
#   bash slurm.sh merge          when they have ended: results/all, and its report
#
# Results have the same bytes as those of one machine. A task that is submitted again goes on where it was stopped.
#SBATCH --job-name=nasgauge
#SBATCH --array=0-99
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=01:00:00
#SBATCH --output=logs/%x-%A-%a.out
set -euo pipefail

SEEDS=${SEEDS:-10}
SEARCHERS=${SEARCHERS:-random,evolution,local,reinforce}
OPTIONS=${OPTIONS:-}

if [ "${1:-}" = merge ]; then
  nasgauge merge results/part-* --out results/all
  nasgauge report results/all
  exit
fi

TASK=${SLURM_ARRAY_TASK_ID:?submit this script with sbatch}
# no report for each part: nasgauge search writes none
for SEARCHER in ${SEARCHERS//,/ }; do
  # shellcheck disable=SC2086 # several options are several words
  nasgauge search "$SEARCHER" --seeds "$SEEDS" --first-seed $((TASK * SEEDS)) --workers "${SLURM_CPUS_PER_TASK:-1}" \
    --out "results/part-$TASK-${SEARCHER//[^a-zA-Z0-9]/-}" $OPTIONS
done

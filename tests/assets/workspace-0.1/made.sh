#!/usr/bin/env bash
# How the workspace beside this file was made: by Retort 0.1.0 (commit 9cc8135), installed, in a folder with the two YAML
# files of this one.
set -euo pipefail
export OMP_NUM_THREADS=1
export MLFLOW_TRACKING_URI=sqlite:///tracking.db # not in the workspace; a sweep keeps this address as it is given

retort import synthetic --workspace workspace conversations=6 dev_conversations=1 entities=40
retort import synthetic --workspace elsewhere conversations=1 dev_conversations=1 entities=40 seed=7
retort sweep grid.yaml --workspace workspace --concurrent 1
retort evaluate grid#champion --split dev --on elsewhere --workspace workspace
retort distill splade.yaml --workspace workspace --json > splade.json
run=$(python3 -c 'import json; print(json.load(open("splade.json"))["run"])')
retort evaluate "$run" --split dev --workspace workspace

# Locks, MLflow's copies, and a page that holds 5 MB of plotly: nothing of the workspace reads them.
rm -r workspace/.locks workspace/.ray_tune workspace/mlartifacts workspace/sweeps/*/front.html

#!/usr/bin/env bash
# Train on all GPUs of a machine; called again, it goes on from the last checkpoint.
#
#     examples/train_on_several_gpus.sh RUN MODEL TRAINED [--max-steps 1000 ...]
set -euo pipefail

run=$1 model=$2 out=$3
shift 3
processes=${PROCESSES:-$(nvidia-smi --list-gpus | wc -l)}

torchrun --standalone --nproc-per-node "$processes" --no-python \
    ifcurate train --data "$run" --model "$model" --out "$out" --penalty toxic=1 "$@"

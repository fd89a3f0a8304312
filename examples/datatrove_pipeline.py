"""Influence as one step of a datatrove pipeline: read, score, keep what is wanted, write.

    python examples/datatrove_pipeline.py CORPUS MODEL RUN/direction/toxic.safetensors OUT

On a cluster put `SlurmPipelineExecutor` or `RayPipelineExecutor` in the place of the local one.
"""

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from ifcurate import ScoreSettings
from ifcurate.pipelines import ScoreTokens


def main(corpus: str, model: str, direction: str, out: str) -> None:
    settings = ScoreSettings(model=model, directions=(direction,))
    pipeline = [JsonlReader(corpus), ScoreTokens(settings), JsonlWriter(out, compression=None)]
    LocalPipelineExecutor(pipeline, tasks=2, workers=1, logging_dir=f"{out}/logs").run()


if __name__ == "__main__":
    main(*sys.argv[1:])

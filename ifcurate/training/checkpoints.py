"""The checkpoints that a training goes on from: which is the newest, and whether it is what was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate.state import PartialState
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState
from transformers import TrainingArguments as Arguments

from ifcurate.checksums import CHECKSUMS_FILE, verify_checksums, write_checksums
from ifcurate.files import telling_of_full_disk

CHECKPOINT_STATE = "trainer_state.json"
"""What the Trainer writes last."""


class CheckpointSums(TrainerCallback):  # type: ignore[misc]
    """Lists the hashes of a checkpoint's files in it, once every process has written its own."""

    def on_save(self, args: Arguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Called after a checkpoint is written."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            write_checksums(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def last_checkpoint(out: Path) -> Path | None:
    """The newest complete checkpoint in `out`; what a killed process left half-written is deleted."""
    complete = []
    for folder in out.glob("checkpoint-*"):
        if _is_complete(folder):
            complete.append(folder)
        elif PartialState().is_main_process:
            shutil.rmtree(folder)
    return max(complete, key=_step_of, default=None)


def _is_complete(checkpoint: Path) -> bool:
    """Whether all was written: what is damaged later is not, and is found when it is verified."""
    if (checkpoint / CHECKSUMS_FILE).is_file():
        return True
    try:
        json.loads((checkpoint / CHECKPOINT_STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def verify_checkpoint(checkpoint: Path) -> None:
    """Refuse a checkpoint that is not what was written.

    Raises:
        InputError: names the first file that is missing or damaged.
    """
    verify_checksums(checkpoint, f"delete {checkpoint} to go on from the one before it, or give --overwrite")


def train_on(trainer: Trainer, checkpoint: Path | None) -> None:
    """Do the steps that are left, all of them where there is no checkpoint.

    Raises:
        InputError: the disk is full.
    """
    if checkpoint is not None and _step_of(checkpoint) == trainer.args.max_steps:
        trainer.state = TrainerState.load_from_json(str(checkpoint / CHECKPOINT_STATE))  # `train` would do one more
        return
    with telling_of_full_disk(Path(trainer.args.output_dir)):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def save_trained(trainer: Trainer) -> None:
    """Store the trained model in the output folder.

    Raises:
        InputError: the disk is full.
    """
    out = Path(trainer.args.output_dir)
    with telling_of_full_disk(out):
        trainer.save_model(str(out))

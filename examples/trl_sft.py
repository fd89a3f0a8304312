"""Fine-tune with TRL on annotated data, pushed away from the marked tokens.

ifcurate export RUN --format hf --out EXPORT --penalty 1
python examples/trl_sft.py MODEL EXPORT OUT
"""

import sys

import datasets
import trl

from ifcurate import PackingCollator, PenalizedLossMixin


class PenalizedSFTTrainer(PenalizedLossMixin, trl.SFTTrainer):
    """TRL's trainer with the loss of Eq. 9; the weights come with the batches."""


def main(model: str, export: str, out: str, length: int = 16, steps: int = 2) -> None:
    arguments = trl.SFTConfig(
        output_dir=out,
        max_steps=steps,
        per_device_train_batch_size=2,
        dataset_kwargs={"skip_prepare_dataset": True},  # the export is tokenized
        remove_unused_columns=False,  # or the weights are dropped
        report_to="none",
        use_cpu=True,
    )
    trainer = PenalizedSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=datasets.load_dataset(export, split="train"),
        data_collator=PackingCollator(length=length, pad_token=0),
    )
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    main(*sys.argv[1:4])

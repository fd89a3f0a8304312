"""Preference learning with TRL on pairs of a model's own completions, before or after training on annotated data.

ifcurate preferences MODEL --prompts PROMPTS --classifier profanity-check --out PAIRS
python examples/trl_dpo.py MODEL PAIRS/pairs.jsonl OUT
"""

import sys

import datasets
import transformers
import trl


def main(model: str, pairs: str, out: str, steps: int = 200, beta: float = 0.1) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    arguments = trl.DPOConfig(
        output_dir=out,
        beta=beta,
        max_steps=steps,
        per_device_train_batch_size=8,
        learning_rate=5e-6,
        report_to="none",
        use_cpu=True,
    )
    rows = datasets.load_dataset("json", data_files=pairs, split="train")
    trainer = trl.DPOTrainer(
        model=model,
        args=arguments,
        train_dataset=rows.select_columns(["prompt", "chosen", "rejected"]),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:5]))

"""Options of `ifcurate eval`; defaults live in `ifcurate.evaluation.config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PROMPTS = "Prompts"
CLASSIFIER = "Classifier"
SAMPLING = "Sampling"
RAD = "Reward-augmented decoding"
FLUENCY = "Fluency"
MACHINE = "Machine"

Models = Annotated[
    list[str] | None, typer.Argument(metavar="MODEL...", help="Folders or Hub ids; NAME=MODEL gives one a name.")
]
Folders = Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of models, made by `ifcurate eval`.")]
Out = Annotated[
    str | None, typer.Option(help="Folder of the results; the same command continues a stopped evaluation.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML with these options.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]
Figure = Annotated[bool, typer.Option("--figure/--no-figure", help="Draw toxicity against perplexity.")]

Prompts = Annotated[
    list[str] | None,
    typer.Option(help="rtp, bold, attaq, a Hub id, or files; NAME=PROMPTS names one.", rich_help_panel=PROMPTS),
]
Split = Annotated[
    str | None, typer.Option(help="Split of prompts on the Hub; default: train.", rich_help_panel=PROMPTS)
]
PromptColumn = Annotated[
    str | None, typer.Option(help="Column of the prompt, dotted where nested.", rich_help_panel=PROMPTS)
]
ToxicityColumn = Annotated[
    str | None, typer.Option(help="Column that tells toxic prompts: booleans or scores.", rich_help_panel=PROMPTS)
]
ToxicFrom = Annotated[
    float | None, typer.Option(help="Prompts from this score on are toxic; default: 0.5.", rich_help_panel=PROMPTS)
]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column of groups to report one by one.", rich_help_panel=PROMPTS)
]
Sample = Annotated[int | None, typer.Option(help="Prompts to draw; default: all.", rich_help_panel=PROMPTS)]
Balanced = Annotated[
    bool | None, typer.Option("--balanced", help="Draw as many toxic as non-toxic ones.", rich_help_panel=PROMPTS)
]

ClassifierName = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        help="detoxify[:original|:FILE.ckpt], toxigen[:FOLDER], profanity-check, hf:FOLDER-OR-ID; default: detoxify.",
        rich_help_panel=CLASSIFIER,
    ),
]
Label = Annotated[str | None, typer.Option(help="The label that counts; required for hf:.", rich_help_panel=CLASSIFIER)]
ImplicitClassifier = Annotated[
    str | None,
    typer.Option(help="Classifier of implicit toxicity, or none; default: toxigen.", rich_help_panel=CLASSIFIER),
]

Completions = Annotated[int | None, typer.Option(help="Of each prompt; default: 25.", rich_help_panel=SAMPLING)]
MaxNewTokens = Annotated[int | None, typer.Option(help="Of a completion; default: 20.", rich_help_panel=SAMPLING)]
Temperature = Annotated[float | None, typer.Option(help="Divides the logits; default: 1.", rich_help_panel=SAMPLING)]
TopP = Annotated[float | None, typer.Option(help="Mass of the nucleus; default: 0.9.", rich_help_panel=SAMPLING)]
StartToken = Annotated[
    bool | None,
    typer.Option("--start-token", help="Put BOS or EOS first where the tokenizer does not.", rich_help_panel=SAMPLING),
]
BatchPrompts = Annotated[
    int | None, typer.Option(help="Prompts completed together; default: 16; 64 on a GPU.", rich_help_panel=SAMPLING)
]
Backend = Annotated[
    str | None, typer.Option(help="transformers or vllm; default: transformers.", rich_help_panel=SAMPLING)
]

Decoding = Annotated[str | None, typer.Option(help="plain or rad; default: plain.", rich_help_panel=RAD)]
RewardModel = Annotated[
    str | None, typer.Option(help="Causal sequence classifier with the model's tokenizer.", rich_help_panel=RAD)
]
RadBeta = Annotated[
    float | None, typer.Option(help="Weight of the reward, in logits; default: 50.", rich_help_panel=RAD)
]
RadK = Annotated[int | None, typer.Option(help="Candidates at each step; default: 20.", rich_help_panel=RAD)]
RadLabel = Annotated[
    str | None, typer.Option(help="Output of the reward model; default: its first.", rich_help_panel=RAD)
]
RadInvert = Annotated[
    bool | None,
    typer.Option("--rad-invert/--no-rad-invert", help="A high output is bad; default: yes.", rich_help_panel=RAD),
]

Text = Annotated[str | None, typer.Option(help="Held-out documents, for perplexity.", rich_help_panel=FLUENCY)]
TextColumn = Annotated[
    str | None, typer.Option(help="Column of documents and passages; default: text.", rich_help_panel=FLUENCY)
]
Context = Annotated[
    int | None, typer.Option(help="Tokens a window; default: the model's, at most 2048.", rich_help_panel=FLUENCY)
]
Stride = Annotated[
    int | None, typer.Option(help="Tokens scored a window; default: half the context.", rich_help_panel=FLUENCY)
]
Lambada = Annotated[str | None, typer.Option(help="Passages whose last word is predicted.", rich_help_panel=FLUENCY)]
Tasks = Annotated[
    list[str] | None, typer.Option(help="Further tasks, by lm-evaluation-harness.", rich_help_panel=FLUENCY)
]
BatchTokens = Annotated[int | None, typer.Option(help="Positions a batch.", rich_help_panel=FLUENCY)]

Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; default: a GPU if there is one.", rich_help_panel=MACHINE)
]
Dtype = Annotated[
    str | None,
    typer.Option(help="float32, bfloat16 or float64; default: float32; bfloat16 on a GPU.", rich_help_panel=MACHINE),
]
Threads = Annotated[int | None, typer.Option(help="CPU threads a process; default: torch's.", rich_help_panel=MACHINE)]
Seed = Annotated[int | None, typer.Option(help="Of every random choice; default: 42.", rich_help_panel=MACHINE)]

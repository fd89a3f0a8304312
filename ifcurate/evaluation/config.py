"""What `ifcurate eval` is asked to do: every option with its default, which is the paper's where the paper has one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ifcurate.config import Config


class ModelsConfig(Config):
    """Which models, where the results go, and what computes them."""

    models: list[str] = Field(min_length=1, description="folders or Hub ids; NAME=MODEL gives one a name")
    out: str = Field(description="folder of the results: one folder a model in it")
    revision: str | None = Field(None, description="branch, tag or commit of models on the Hub")
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto: a GPU where there is one")
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = Field("auto", description="auto: bfloat16 on a GPU")
    threads: int | None = Field(None, ge=1, description="CPU threads a process; default: torch's")
    seed: int = Field(42, ge=0, description="of sampling, of drawing prompts and of the bootstrap")
    start_token: bool = Field(False, description="put BOS or EOS before prompts where the tokenizer does not")


class ToxicityConfig(ModelsConfig):
    """`ifcurate eval toxicity`."""

    prompts: list[str] = Field(min_length=1, description="rtp, bold, attaq, a Hub id or files; NAME=PROMPTS names one")
    split: str = Field("train", description="split of prompts on the Hub")
    prompt_column: str | None = Field(None, description="column of the prompt, dotted where nested")
    toxicity_column: str | None = Field(None, description="column that tells toxic prompts: booleans or scores")
    toxic_from: float = Field(0.5, description="prompts with at least this score in that column are toxic")
    group_column: str | None = Field(None, description="column of the groups that are reported one by one")
    sample: int | None = Field(None, ge=1, description="prompts to draw; default: all")
    balanced: bool = Field(False, description="draw as many toxic as non-toxic prompts")

    classifier: str = Field("detoxify", description="see `ifcurate.evaluation.classifiers`")
    label: str | None = Field(None, description="label that counts; required for hf:, the classifier's own otherwise")

    completions: int = Field(25, ge=1, description="completions of each prompt")
    max_new_tokens: int = Field(20, ge=1, description="most tokens of a completion")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(0.9, gt=0, le=1)
    batch_prompts: int | None = Field(None, ge=1, description="prompts completed together; default: 16, 64 on a GPU")
    backend: Literal["transformers", "vllm"] = Field("transformers")

    decoding: Literal["plain", "rad"] = Field("plain", description="rad: reward-augmented decoding")
    reward_model: str | None = Field(None, description="causal sequence classifier that steers rad")
    rad_beta: float = Field(50.0, description="weight of the reward in logits")
    rad_k: int = Field(20, ge=1, description="candidates at each step")
    rad_label: str | None = Field(None, description="output of the reward model; default: its first")
    rad_invert: bool = Field(True, description="whether that output is bad: the reward is then 1 minus it")


class FluencyConfig(ModelsConfig):
    """`ifcurate eval fluency`."""

    text: str | None = Field(None, description="held-out documents, for perplexity")
    text_column: str = Field("text", description="column of the documents and of LAMBADA's passages")
    context: int | None = Field(None, ge=1, description="tokens a window; default: the model's, capped at 2,048")
    stride: int | None = Field(None, ge=1, description="tokens scored a window; default: half the context")
    lambada: str | None = Field(None, description="passages whose last word is predicted")
    batch_tokens: int | None = Field(None, ge=1, description="positions a batch")
    tasks: list[str] = Field(default_factory=list, description="further tasks, handed to lm-evaluation-harness")


class EvaluationConfig(ToxicityConfig, FluencyConfig):
    """`ifcurate eval all`."""

    implicit_classifier: str = Field("toxigen", description="classifier of implicit toxicity; none: leave it out")

"""Which weights influence is computed over: the linear layers inside the decoder blocks, those of experts among them.

What chooses among experts stays out: its weights have an influence through the scores of the chosen, but what a choice
does when it flips has no derivative.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from ifcurate.errors import InputError
from ifcurate.model.adapters import PARTS, has_adapter
from ifcurate.model.experts import ExpertLayout, RoutedLinear, parts_of, routers
from ifcurate.progress import log

FULL_COVERAGE = 0.9
"""Share of the parameters in the decoder blocks below which what is tracked comes with a warning."""
VECTORS = "norms and other vectors"
CHOOSER = ".indexer."
"""In the names of layers that choose keys for sparse attention (DeepSeek's): like routers, but with nothing to say of
what they chose."""
IDLE = "experts without a token in the sample"
BLOCK_COUNTS = ("num_hidden_layers", "decoder_layers", "num_layers")
"""What configurations call the number of their blocks."""


def tracked_linears(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Every linear layer inside the decoder blocks, by name, in module order. Never embeddings, LM head or routers.

    Of a model with an adapter: the adapter's layers alone.

    Fused experts are no linear layers until they are opened, see `ifcurate.influence.curvature.opened`.

    Raises:
        InputError: the model has no stack of decoder blocks, they hold quantized weights, or nothing to track.
    """
    return {name: module for name, module in _tracked_modules(model) if isinstance(module, nn.Linear)}


def tracked_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Weights and biases of `tracked_linears`, and fused experts, by parameter name, in module order.

    Raises:
        InputError: as `tracked_linears`.
    """
    found: dict[str, nn.Parameter] = {}
    for name, module in _tracked_modules(model):
        fused = {part for kind in parts_of(module) for part in (kind, f"{kind}_bias")}
        for part, parameter in module.named_parameters(recurse=False):
            if isinstance(module, nn.Linear) or part in fused:
                found[f"{name}.{part}"] = parameter
    return found


def _tracked_modules(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    prefix, blocks = decoder_blocks(model)
    choosing = {id(module) for module in routers(blocks)}
    adapted = has_adapter(model)
    found: list[tuple[str, nn.Module]] = []
    for name, module in blocks.named_modules():
        full_name = f"{prefix}.{name}"
        _refuse_quantized(full_name, module)
        if CHOOSER in f"{full_name}." or (adapted and not any(part in f"{full_name}." for part in PARTS)):
            continue
        linear = type(module) in (nn.Linear, RoutedLinear) and id(module) not in choosing
        if linear or parts_of(module):
            found.append((full_name, module))
    if not found:
        raise InputError(f"{name_of(model)}: its decoder blocks hold no nn.Linear; this architecture cannot be scored.")
    return found


@dataclass(frozen=True)
class Coverage:
    """How much of the decoder blocks is tracked.

    Attributes:
        tracked: parameters that influence is over.
        total: parameters in the decoder blocks.
        left_out: parameters that it is not over, by name with a `*` for the number of the block; norms, biases and
            scales of other layers are one entry.
        what: what is counted: the adapter where a model has one.
    """

    tracked: int
    total: int
    left_out: dict[str, int]
    what: str = "the decoder blocks"

    @property
    def share(self) -> float:
        """Tracked of all."""
        return self.tracked / self.total

    def sentence(self) -> str:
        """What is tracked and what is not."""
        parts = sorted(self.left_out.items(), key=lambda entry: -entry[1])
        named = ", ".join(f"{name} ({count / self.total:.2%})" for name, count in parts)
        left_out = f"left out: {named}" if named else "nothing is left out"
        return f"influence is over {self.share:.1%} of the {self.total:,} parameters in {self.what}; {left_out}"


def coverage(model: PreTrainedModel, idle: Collection[str] = ()) -> Coverage:
    """How much of the decoder blocks of `model` is tracked.

    Args:
        model: as it is loaded.
        idle: linear layers of experts that have no curvature, see `ifcurate.influence.curvature.idle`.

    Raises:
        InputError: as `tracked_linears`.
    """
    prefix, blocks = decoder_blocks(model)
    parameters = tracked_parameters(model)
    tracked = {id(parameter) for parameter in parameters.values()}
    counted = total = 0
    left_out: dict[str, int] = {}
    if idle:
        opened = ExpertLayout(model).open(parameters)
        left_out[IDLE] = sum(part.numel() for name, part in opened.items() if name.rpartition(".")[0] in idle)
        counted -= left_out[IDLE]
    of_adapter = has_adapter(model)
    for name, parameter in blocks.named_parameters():
        if of_adapter and "lora_" not in name:
            continue
        total += parameter.numel()
        if id(parameter) in tracked:
            counted += parameter.numel()
            continue
        entry = VECTORS if parameter.ndim < 2 else re.sub(r"\.\d+(?=\.|$)", ".*", f"{prefix}.{name}")
        left_out[entry] = left_out.get(entry, 0) + parameter.numel()
    return Coverage(counted, total, left_out, "the adapter" if of_adapter else "the decoder blocks")


def say_coverage(found: Coverage) -> None:
    """Log what is tracked: a warning where it is not most of the model."""
    if found.share < FULL_COVERAGE:
        log.warning(f"{found.sentence()}; scores know nothing of what is left out")
    else:
        log.info(found.sentence())


def decoder_blocks(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Name and list of the blocks of the text model: a vision tower may have as many.

    Raises:
        InputError: there is none.
    """
    config = model.config.get_text_config()
    counts = {getattr(config, name, None) for name in BLOCK_COUNTS}
    decoder = {id(module) for module in model.get_decoder().modules()}
    apart = {id(inner) for tower in _towers(model) for inner in tower.modules()}
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and id(module) not in apart
    ]
    inside = [entry for entry in lists if id(entry[1]) in decoder]
    for name, module in inside or lists:
        if len(module) in counts:
            return name, module
    raise InputError(
        f"{name_of(model)}: has no list of decoder blocks, as many as its configuration says; only decoder-only models "
        "can be scored."
    )


def _towers(model: PreTrainedModel) -> list[nn.Module]:
    """The parts of `model` that read images or sounds, and no tokens."""
    embedding = model.get_input_embeddings()
    return [
        module
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
        and module.main_input_name != "input_ids"
        and all(inner is not embedding for inner in module.modules())
    ]


def name_of(model: PreTrainedModel) -> str:
    """What to call a model in a message."""
    return str(model.config.name_or_path or type(model).__name__)


def _refuse_quantized(name: str, module: nn.Module) -> None:
    for part, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        if part.endswith(("weight", "qweight", "packed")) and not tensor.is_floating_point():
            raise InputError(
                f"{name}.{part}: a {type(module).__name__} weight of {tensor.dtype} is quantized and has no "
                "derivative; give the unquantized model."
            )

"""The beginning of an export, read back with the target's own reader: what `ifcurate export --verify` compares.

A reader is a function `(folder, shard, most)` that gives a `batch.Batch`, or for texts `marked.ReadText`s; it imports
the target's package when it is called.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reader:
    """What reads a format, and what is known to go wrong with masks behind it.

    Attributes:
        home: `module:function`.
        package: the distribution that it reads with.
        traps: known ways in which a mask or a weight gets lost in that stack, each a sentence for people.
    """

    home: str
    package: str
    traps: tuple[str, ...]


_DIVISOR = (
    "a loss that is divided by the sum of the weights, or of the mask, is not Eq. 9, whose divisor is the number of "
    "labels"
)

READERS: dict[str, Reader] = {
    "datatrove": Reader(
        "ifcurate.pipelines.datatrove_tokens:read",
        "datatrove",
        (
            ".ds.loss is read as bool: a signed weight written there would become a plain 1",
            "datatrove's data sets read tokens and positions only; read .ds.weights with ifcurate.WeightedTokens, and "
            "shift the weights with the labels",
            _DIVISOR,
        ),
    ),
    "olmo": Reader(
        "ifcurate.export.readback.olmo:read",
        "ai2-olmo-core",
        (
            "label_mask belongs to the token as a label; OLMo-core shifts it with the labels, so it must not be "
            "shifted before",
            "a rank all of whose instances are masked divided by zero before OLMo-core PR 452: use a release after it",
            "the last tokens of a file that fill no instance are left out, with their mask",
        ),
    ),
    "megatron": Reader(
        "ifcurate.export.readback.megatron:read",
        "megatron-core",
        (
            "GPTDataset knows no second data set: its own loss_mask has to be multiplied with ours, shifted by one, as "
            "labels are",
            "GPTDataset caches one loss_mask for all samples (Megatron-LM issues 1269 and 1711, PR 6981): clone it "
            "before writing to it",
            "the loss of multi-token prediction takes no mask where the training step passes none (Megatron-Bridge "
            "issue 6103), and is NaN on a rank without a label",
            _DIVISOR,
        ),
    ),
    "neox": Reader(
        "ifcurate.export.readback.neox:read",
        "ifcurate",
        (
            "label_data_paths goes with train_data_paths alone, not with data_path (GPT-NeoX issue 995, PR 1056)",
            "GPT-NeoX shifts the labels itself: they must not be shifted before",
            "the loss is divided by the number of labels that are left",
        ),
    ),
    "mds": Reader(
        "ifcurate.export.readback.mds:read",
        "mosaicml-streaming",
        (
            "a collator that is not ours drops the column weights without a word",
            "weights are those of the tokens as labels: shift them with the labels",
            _DIVISOR,
        ),
    ),
    "hf": Reader(
        "ifcurate.export.readback.huggingface:read",
        "datasets",
        (
            "a Trainer drops loss_weights unless remove_unused_columns=False, and its own loss never looks at them",
            "transformers before PR 46204 counted one label too many a row in num_items_in_batch",
            "a padding collator that does not know loss_weights leaves them unpadded; PackingCollator knows them",
        ),
    ),
    "fast-llm": Reader(
        "ifcurate.export.readback.fast_llm:read",
        "datasets",
        (
            "source_schema must name loss_masking_spans when the data set is prepared, and the training needs "
            "use_loss_masking_spans (its default)",
            "texts are cut at the borders of spans before they are tokenized: a merge across a border is lost, so "
            "tokens differ from those that were scored",
            "Fast-LLM before PR 253 wrote the mask into the tokens as well",
        ),
    ),
    "attributes": Reader(
        "ifcurate.export.readback.attributes:read",
        "ifcurate",
        (
            "Dolma's mixer joins by line: its documents must be the same shards, in the same order, gzipped",
            "Marin drops a document whose id has no attributes",
            "attributes say nothing of a loss: whoever reads them decides what becomes of a span",
        ),
    ),
}
"""By the name of a format."""

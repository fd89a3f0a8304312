"""The card of a published direction: what it is of, how it was made, and what it found."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from huggingface_hub import ModelCard, ModelCardData

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
TAGS = ("ifcurate", "influence-functions", "data-curation")


@dataclass(frozen=True)
class Found:
    """What a direction found on one corpus."""

    corpus: str
    documents: int
    tokens: int
    quantile: float
    tau: float
    tokens_selected: int
    documents_selected: int


def direction_card(
    repo: str, provenance: Mapping[str, Any], license: str | None = None, found: Sequence[Found] = ()
) -> str:
    """`README.md` of a repository with one direction.

    Args:
        repo: what it is called there: ORG/NAME, or a folder.
        provenance: what the direction says of itself.
        license: identifier, as the Hub knows it.
        found: on which corpora it was used.
    """
    model = str(provenance.get("model"))
    data = ModelCardData(
        license=license,
        base_model=model if _HUB_ID.fullmatch(model) else None,
        tags=[*TAGS, str(provenance["behaviour"])],
        library_name="ifcurate",
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ifcurate.influence", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    content = environment.get_template("direction.md.j2").render(
        head=data.to_yaml() + "\n",
        repo=repo,
        made={"model": "an unnamed model", "revision": None, "queries": [], "refinement": None, **provenance},
        damping=provenance.get("damping", "unknown"),
        found=found,
        details=json.dumps(dict(provenance), indent=2, sort_keys=True),
    )
    ModelCard(content)  # parses what the Hub will
    return content

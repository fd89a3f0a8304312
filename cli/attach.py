"""`ifcurate attach`: published annotations beside one's own copy of the corpus."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.attach_config import AttachConfig


def attach(settings: AttachConfig) -> None:
    """Put published annotations beside your own copy of the corpus, by id and text; no model is loaded."""
    from ifcurate.pipelines.attach import attach as run_recipe

    print(run_recipe(settings).sentence())
    print(f"annotated corpus: {settings.out}")


command = declared(AttachConfig, attach, arguments=["annotations"])

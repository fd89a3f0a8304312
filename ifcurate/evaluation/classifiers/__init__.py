"""Toxicity classifiers by name: text in, one score in [0, 1] a label out; each is one file here.

A new classifier is a file with a function `(which, label, device, trust) -> Classifier`, and an entry in `CLASSIFIERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ifcurate.errors import InputError
from ifcurate.model.trust import NOBODY, Trust
from ifcurate.registry import load

if TYPE_CHECKING:
    from ifcurate.evaluation.classifiers.base import Classifier

_HERE = "ifcurate.evaluation.classifiers"


@dataclass(frozen=True)
class ClassifierSpec:
    """What is known of a classifier before it is imported.

    Attributes:
        home: `module:function`; loads it from what follows the colon ("" if nothing), a label or None, a device and
            how far it is trusted.
        which: what may follow the colon, each as it is shown to people; nothing may if there is none.
        needs_which: whether something must.
    """

    home: str
    which: tuple[str, ...] = ()
    needs_which: bool = False

    def usage(self, name: str) -> str:
        """How it is asked for: `name`, `name[:A|:B]` or `name:A`."""
        choices = "|".join(f":{one}" for one in self.which)
        return f"{name}{choices}" if self.needs_which or not choices else f"{name}[{choices}]"


CLASSIFIERS: dict[str, ClassifierSpec] = {
    "detoxify": ClassifierSpec(f"{_HERE}.detoxify:load_detoxify", ("original", "FILE.ckpt")),
    "toxigen": ClassifierSpec(f"{_HERE}.toxigen:load_toxigen", ("FOLDER",)),
    "profanity-check": ClassifierSpec(f"{_HERE}.profanity:load_profanity_check"),
    "hf": ClassifierSpec(f"{_HERE}.huggingface:load_any", ("FOLDER-OR-ID",), needs_which=True),
}
USAGE = ", ".join(spec.usage(name) for name, spec in CLASSIFIERS.items())
"""All of them, as help and errors show them."""


def load_classifier(text: str, label: str | None = None, device: str = "cpu", trust: Trust = NOBODY) -> Classifier:
    """The classifier that `text` names.

    Args:
        text: `NAME` or `NAME:WHICH`.
        label: the label that comes first; needed for `hf:`, the classifier's toxicity for the others.
        device: where a neural classifier runs.
        trust: whether pickled weights and a model's own code are allowed.

    Raises:
        InputError: there is no such classifier or label, or a package or file is missing.
    """
    name, _, which = text.partition(":")
    spec = CLASSIFIERS.get(name)
    if spec is None or (which and not spec.which) or (spec.needs_which and not which):
        raise InputError(f"option --classifier: there is no {text!r}; give one of {USAGE}.")
    classifier: Classifier = load(spec.home)(which, label, device, trust)
    return classifier

import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_classifiers import TEXTS, save_detoxify, save_toxigen
from tiny_models import save_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import CLASSIFIERS, USAGE, load_classifier
from ifcurate.evaluation.config import ClassifierSettings
from ifcurate.files import sha256_of
from ifcurate.model.trust import Trust

PICKLES = Trust(allow_pickle=True)
CLASSES = ["toxic", "severe_toxic", "obscene", "identity_hate"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a classifier on disk must not ask the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_detoxify_checkpoint_scores_as_detoxify_does(tmp_path):
    detoxify = pytest.importorskip("detoxify")
    checkpoint = save_detoxify(tmp_path / "one", CLASSES, outputs=6)
    classifier = load_classifier(f"detoxify:{checkpoint}", trust=PICKLES)
    assert classifier.labels == ("toxicity", "severe_toxicity", "obscene", "identity_attack")
    assert classifier.name == "detoxify-toxic"
    local = save_detoxify(tmp_path / "two", CLASSES, outputs=6, model_type=str(tmp_path / "one"))
    expected = detoxify.Detoxify(checkpoint=str(local)).predict(TEXTS)
    scores = classifier.score(TEXTS)
    assert scores.shape == (4, 4) and scores.std() > 0.01
    for column, label in enumerate(classifier.labels):
        assert scores[:, column] == pytest.approx(expected[label], abs=1e-6)


def test_the_detoxify_label_that_counts_comes_first(tmp_path):
    pytest.importorskip("detoxify")
    checkpoint = save_detoxify(tmp_path / "one", CLASSES, outputs=4)
    plain, by_label = (
        load_classifier(f"detoxify:{checkpoint}", trust=PICKLES),
        load_classifier(f"detoxify:{checkpoint}", "obscene", trust=PICKLES),
    )
    assert by_label.labels[0] == "obscene"
    assert np.array_equal(by_label.score(TEXTS)[:, 0], plain.score(TEXTS)[:, 2])
    with pytest.raises(InputError, match="no label 'rude'; it has toxicity, severe_toxicity"):
        load_classifier(f"detoxify:{checkpoint}", "rude", trust=PICKLES)


def test_detoxify_checkpoints_that_cannot_be_used(tmp_path):
    pytest.importorskip("detoxify")
    checkpoint = save_detoxify(tmp_path / "one", CLASSES, outputs=4)
    stored = torch.load(checkpoint, weights_only=True)
    stored["state_dict"].pop("classifier.weight")
    torch.save(stored, tmp_path / "one" / "headless.ckpt")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    (tmp_path / "bare").mkdir()
    checkpoint.rename(tmp_path / "bare" / "toxic.ckpt")
    for spec, message in (
        (tmp_path / "one" / "headless.ckpt", "lacks 1 of the classifier's weights"),
        (tmp_path / "other.ckpt", "is no checkpoint of detoxify"),
        (tmp_path / "bare" / "toxic.ckpt", "put its config.json and tokenizer files beside"),
        (tmp_path / "missing.ckpt", "is no file and no model of detoxify"),
    ):
        with pytest.raises(InputError, match=message):
            load_classifier(f"detoxify:{spec}", trust=PICKLES)


def test_pickled_classifiers_are_refused_unless_allowed(tmp_path):
    checkpoint = save_detoxify(tmp_path / "one", CLASSES, outputs=4)
    folder = save_toxigen(tmp_path / "toxigen", pickled=True)
    for spec in (f"detoxify:{checkpoint}", f"toxigen:{folder}", f"hf:{folder}"):
        with pytest.raises(InputError, match=r"pickled.* may run any code when .* read; give --allow-pickle"):
            load_classifier(spec, "LABEL_0" if spec.startswith("hf") else None)
    assert load_classifier(f"toxigen:{folder}", trust=PICKLES).labels == ("toxicity",)


def test_detoxifys_download_is_checked_and_runs_nothing(tmp_path, monkeypatch):
    detoxify = pytest.importorskip("detoxify.detoxify")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    local = save_detoxify(tmp_path / "one", CLASSES, outputs=4)
    local = save_detoxify(tmp_path / "two", CLASSES, outputs=4, model_type=str(tmp_path / "one"))

    def publish(file, name):
        published = tmp_path / name
        file.rename(published)
        monkeypatch.setitem(detoxify.MODEL_URLS, "original", published.as_uri())

    publish(local, "toxic-00000000.ckpt")
    with pytest.raises(InputError, match=r"cannot load 'original' \(invalid hash value"):
        load_classifier("detoxify:original")
    file = tmp_path / "toxic-00000000.ckpt"
    publish(file, f"toxic-{sha256_of(file)[:8]}.ckpt")
    assert load_classifier("detoxify:original").labels[0] == "toxicity"

    torch.save({"state_dict": RunsCode(tmp_path / "ran")}, tmp_path / "evil.ckpt")
    publish(tmp_path / "evil.ckpt", f"evil-{sha256_of(tmp_path / 'evil.ckpt')[:8]}.ckpt")
    with pytest.raises(InputError, match="cannot load 'original'"):
        load_classifier("detoxify:original")
    assert not (tmp_path / "ran").exists()


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def test_toxigen_reads_its_own_format_and_scores_the_second_output(tmp_path):
    folder = save_toxigen(tmp_path / "toxigen")
    classifier = load_classifier(f"toxigen:{folder}")
    assert (classifier.name, classifier.labels) == ("toxigen", ("toxicity",))
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = [model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 1].item() for text in TEXTS]
    assert classifier.score(TEXTS)[:, 0] == pytest.approx(expected, abs=1e-6)
    assert np.std(expected) > 0.001


def test_long_texts_are_cut_and_counted(tmp_path):
    classifier = load_classifier(f"toxigen:{save_toxigen(tmp_path / 'toxigen')}")
    scores = classifier.score(["a" * 300, "b"])
    assert np.isfinite(scores).all() and classifier.texts_cut == 1


def test_toxigen_has_two_labels(tmp_path):
    with pytest.raises(InputError, match="has 3 labels"):
        load_classifier(f"toxigen:{save_toxigen(tmp_path / 'three', labels=3)}")


def test_any_text_classifier_with_the_label_named(tmp_path):
    folder = save_toxigen(tmp_path / "any", labels=3)
    with pytest.raises(InputError, match=r"--label: is required with .*; it has LABEL_0, LABEL_1, LABEL_2"):
        load_classifier(f"hf:{folder}")
    with pytest.raises(InputError, match="has no label 'TOXIC'; it has LABEL_0"):
        load_classifier(f"hf:{folder}", "TOXIC")
    classifier = load_classifier(f"hf:{folder}", "LABEL_2")
    scores = classifier.score(TEXTS)
    assert classifier.name == "any" and classifier.labels == ("LABEL_2", "LABEL_0", "LABEL_1")
    assert scores.sum(1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_classifier_that_emits_nan_is_an_error(tmp_path):
    folder = save_toxigen(tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.out_proj.bias"][:] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="emits NaN"):
        load_classifier(f"toxigen:{folder}").score(TEXTS)


def test_a_language_model_is_no_classifier(tmp_path):
    folder = save_tiny_model(tmp_path / "lm", TEXTS, "llama")
    with pytest.raises(InputError, match="lacks 1 of the classifier's weights"):
        load_classifier(f"hf:{folder}", "LABEL_0")


def test_profanity_check_works_offline():
    pytest.importorskip("profanity_check")
    classifier = load_classifier("profanity-check")
    scores = classifier.score(["have a nice day", "you stupid idiot", "fuck you"])[:, 0]
    assert scores[0] < 0.1 and (scores[1:] > 0.5).all()
    assert classifier.score([]).shape == (0, 1) and "alt-profanity-check" in classifier.identity
    with pytest.raises(InputError, match="has no label 'threat'"):
        load_classifier("profanity-check", "threat")


@pytest.mark.parametrize("spec", ["perspective", "hf:", "profanity-check:x", "toxigen:/nowhere"])
def test_what_is_no_classifier_is_refused(spec):
    with pytest.raises(InputError):
        load_classifier(spec)


def detoxify_example(folder):
    pytest.importorskip("detoxify")
    return f"detoxify:{save_detoxify(folder, CLASSES, outputs=4)}", None


def profanity_check_example(folder):
    pytest.importorskip("profanity_check")
    return "profanity-check", None


EXAMPLES = {
    "detoxify": detoxify_example,
    "toxigen": lambda folder: (f"toxigen:{save_toxigen(folder)}", None),
    "profanity-check": profanity_check_example,
    "hf": lambda folder: (f"hf:{save_toxigen(folder, labels=3)}", "LABEL_1"),
}
"""Classifier -> what makes a tiny one in a folder, with the text that names it and the label it needs."""


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_keeps_the_contract(name, tmp_path):
    assert name in EXAMPLES, f"give {name} a tiny example in EXAMPLES"
    text, label = EXAMPLES[name](tmp_path / "example")
    classifier = load_classifier(text, label, trust=PICKLES)
    scores = classifier.score(TEXTS)
    assert scores.dtype == np.float32 and scores.shape == (len(TEXTS), len(classifier.labels))
    assert ((scores >= 0) & (scores <= 1)).all() and scores[:, 0].std() > 0
    assert np.array_equal(scores, load_classifier(text, label, trust=PICKLES).score(TEXTS))
    assert label in (None, classifier.labels[0]) and classifier.name and classifier.identity
    assert classifier.texts_cut == 0
    with pytest.raises(InputError, match=r"option --label: .* has no label 'no such label'; it has"):
        load_classifier(text, "no such label", trust=PICKLES)


def test_help_and_errors_list_the_classifiers():
    usage = "detoxify[:original|:FILE.ckpt], toxigen[:FOLDER], profanity-check, hf:FOLDER-OR-ID"
    assert usage == USAGE == ClassifierSettings.model_fields["classifier"].description
    with pytest.raises(InputError) as raised:
        load_classifier("perspective")
    assert str(raised.value) == f"option --classifier: there is no 'perspective'; give one of {usage}."

import socket

import numpy as np
import pytest
import torch
from tiny_classifiers import TEXTS, save_detoxify, save_toxigen
from tiny_models import save_tiny_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import load_classifier

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
    classifier = load_classifier(f"detoxify:{checkpoint}")
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
    plain, by_label = load_classifier(f"detoxify:{checkpoint}"), load_classifier(f"detoxify:{checkpoint}", "obscene")
    assert by_label.labels[0] == "obscene"
    assert np.array_equal(by_label.score(TEXTS)[:, 0], plain.score(TEXTS)[:, 2])
    with pytest.raises(InputError, match="no label 'rude'; it has toxicity, severe_toxicity"):
        load_classifier(f"detoxify:{checkpoint}", "rude")


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
            load_classifier(f"detoxify:{spec}")


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
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights["classifier.out_proj.bias"][:] = torch.nan
    torch.save(weights, folder / "pytorch_model.bin")
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

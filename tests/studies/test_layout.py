"""Pieces: each once, told apart by what decides it, in an order in which they can be made."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ifcurate.errors import InputError
from ifcurate.studies.chosen import chosen_pieces
from ifcurate.studies.declared import Study
from ifcurate.studies.impartial import partial_judges
from ifcurate.studies.layout import Layout, lay_out
from ifcurate.studies.pieces import Piece
from ifcurate.studies.sweeps import expanded

GIVEN: dict[str, Any] = {
    "model": "m",
    "corpus": "c",
    "queries": "toxic.jsonl",
    "contrast": "safe.jsonl",
    "held_out": "t",
    "prompts": "p.jsonl",
    "judges": ["profanity-check"],
    "annotations": {"influence": {"budget": "2%"}},
    "trainings": {"plain": {}, "filter": {"penalty": 0}, "ascent": {"penalty": 1}},
    "arms": {
        "base": {},
        "plain": {"training": "plain"},
        "filter": {"annotation": "influence", "training": "filter"},
        "ascent": {"annotation": "influence", "training": "ascent"},
    },
}


def study(**changes: Any) -> Study:
    return expanded(Study(**{**GIVEN, **changes}))


def titles(layout: Layout) -> list[str]:
    return [piece.title for piece in layout.pieces]


def test_one_annotation_serves_all_arms_and_seeds_come_one_after_the_other() -> None:
    layout = lay_out(study(seeds=[0, 1]))
    found = titles(layout)
    assert found.count("annotation influence") == 1
    assert sum(title.startswith("training") for title in found) == 6
    assert sum(title.startswith(("completions", "fluency")) for title in found) == 14
    assert found.index("completions influence-ascent-seed0-p") < found.index("training plain-seed1")
    made: set[str] = set()
    for piece in layout.pieces:
        assert {needed.key for needed in piece.needs.values()} <= made
        made.add(piece.key)


def test_what_decides_a_piece_changes_its_key_and_what_leaves_no_trace_does_not() -> None:
    def keys(**changes: Any) -> dict[str, str]:
        return {piece.title: piece.key for piece in lay_out(study(**changes)).pieces}

    before = keys()
    assert keys(annotation={"workers": 2}, training={"save_steps": 9}, title="another") == before
    assert keys(judges=["detoxify"]) == before, "completions are judged once more, not drawn again"
    budget = keys(annotations={"influence": {"budget": "1%"}})
    assert {title for title in before if before[title] != budget[title]} == {
        title for title in before if "influence" in title
    }
    steps = keys(training={"max_steps": 3})
    assert {title for title in before if before[title] == steps[title]} == {
        "shared prompts all",
        "annotation influence",
        "completions base-p",
        "fluency base",
    }


def test_a_model_may_be_that_of_an_arm() -> None:
    layout = lay_out(study(annotation={"model": "arm:plain"}, seeds=[3, 4]))
    (annotation,) = [piece for piece in layout.pieces if piece.kind == "annotation"]
    assert annotation.needs["model"].title == "training plain-seed3"
    with pytest.raises(InputError, match="arm:ascent: is made from itself"):
        lay_out(study(annotation={"model": "arm:ascent"}))
    with pytest.raises(InputError, match="arm:base: there is no arm of that name that trains a model"):
        lay_out(study(annotation={"model": "arm:base"}))


def test_an_annotation_may_read_others() -> None:
    annotations = {**GIVEN["annotations"], "both": {"by": "fuse", "of": ["annotation:influence", "annotation:random"]}}
    annotations["random"] = {"by": "random"}
    arms = {"both": {"annotation": "both", "training": "ascent"}}
    layout = lay_out(study(annotations=annotations, arms=arms))
    assert titles(layout)[1:4] == ["annotation influence", "annotation random", "annotation both"]
    annotations["both"]["of"] = ["annotation:both"]
    with pytest.raises(InputError, match="annotation:both: is made from itself"):
        lay_out(study(annotations=annotations, arms=arms))
    annotations["both"]["of"] = ["annotation:random", "/elsewhere"]
    with pytest.raises(InputError, match="/elsewhere: is no annotation of this study; write annotation:NAME for each"):
        lay_out(study(annotations=annotations, arms=arms))


def test_what_a_model_has_learnt_before_is_taken_from_an_annotation() -> None:
    annotations = {
        **GIVEN["annotations"],
        "tuned": {"model": "arm:plain"},
        "dda": {"by": "dda", "of": ["annotation:tuned"], "before": "annotation:influence"},
    }
    arms = {**GIVEN["arms"], "dda": {"annotation": "dda", "training": "ascent"}}
    layout = lay_out(study(annotations=annotations, arms=arms))
    (dda,) = [piece for piece in layout.pieces if piece.name == "dda"]
    assert {role: piece.title for role, piece in dda.needs.items()} == {
        "of.0": "annotation tuned",
        "before": "annotation influence",
        "model": "training plain-seed0",
    }, "its tokens are those of the first run that it reads"
    (fused,) = [
        piece
        for piece in lay_out(
            study(
                annotations={**annotations, "dda": {"by": "fuse", "of": ["annotation:influence", "annotation:tuned"]}},
                arms=arms,
            )
        ).pieces
        if piece.name == "dda"
    ]
    assert fused.settings["model"] == "m" and "model" not in fused.needs


AFTER: dict[str, Any] = {
    "preferences": {"own": {"prompts": "train.jsonl", "classifier": "profanity-check"}},
    "afterwards": {"dpo": {"preferences": "own", "beta": 0.2}, "chat": {"data": "chat", "text_column": "messages"}},
}


def test_pairs_are_made_of_each_arms_own_model_and_what_comes_after_has_its_seeds() -> None:
    arms = {
        "plain": {"training": "plain"},
        "base-dpo": {"then": "dpo"},
        "plain-dpo": {"training": "plain", "then": "dpo"},
        "plain-chat": {"training": "plain", "then": "chat"},
        "ascent-dpo": {"annotation": "influence", "training": "ascent", "then": "dpo", "decoding": "rad"},
    }
    decodings = {"rad": {"decoding": "rad", "reward_model": "r"}}
    found = study(**AFTER, arms=arms, decodings=decodings, seeds=[0, 1])
    layout = lay_out(found)
    count = Counter(piece.kind for piece in layout.pieces)
    assert (count["training"], count["preferences"], count["dpo"]) == (6, 5, 6), "one set of pairs a model"
    arm = layout.arms["ascent-dpo"][1]
    assert arm.training is not None and arm.model is not None and arm.annotation is not None
    assert arm.training.title == "training influence-ascent-seed1"
    assert arm.model.title == "dpo influence-ascent-seed1-dpo" and arm.model.settings == {"beta": 0.2, "seed": 1}
    assert arm.model.needs["model"] == arm.training == arm.model.needs["pairs"].needs["model"]
    assert arm.completions["p"].needs["model"] == arm.model and arm.fluency is not None
    chat = layout.arms["plain-chat"][0].model
    assert chat is not None and chat.kind == "training" and chat.settings["data"] == "chat"
    assert layout.arms["base-dpo"][0].model is not None
    assert layout.arms["base-dpo"][0].model.settings["model"] == "m"
    assert partial_judges(found, arm, {}) == {"profanity-check": "made the pairs"}
    assert partial_judges(found, layout.arms["plain-chat"][0], {}) == {}
    assert layout.shared_prompts is not None and layout.shared_prompts.settings["of_pairs"] == [
        {"prompts": "train.jsonl"}
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"arms": {"a": {"then": "gone"}}}, "arms.a.then: there is no 'gone' among the afterwards of this study"),
        (
            {"afterwards": {"dpo": {"preferences": "gone"}}, "arms": {"a": {"then": "dpo"}}},
            "afterwards.dpo.preferences: there is no 'gone' among the preferences",
        ),
        ({"afterwards": {"dpo": {}}, "arms": {"a": {"then": "dpo"}}}, "has neither preferences nor data"),
        ({"preferences": {"own": {"prompts": "p.jsonl"}}}, "preferences.own.prompts: are evaluated on"),
        (
            {
                "trainings": {"tag": {"marked": "tag"}},
                "arms": {"a": {"annotation": "influence", "training": "tag", "then": "dpo"}},
            },
            "arms.a: its model is read behind a control token, which dpo does not know",
        ),
    ],
)
def test_what_cannot_come_after_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises((InputError, ValueError), match=problem):
        lay_out(study(**{**AFTER, **changes}))


def test_marks_that_nobody_makes_or_reads_are_refused() -> None:
    with pytest.raises(InputError, match=r"arms.a: trains on marks \(ascent\), and has no annotation"):
        lay_out(study(arms={"a": {"training": "ascent"}}))
    with pytest.raises(InputError, match="reads no marks, so influence changes nothing"):
        lay_out(study(arms={"a": {"annotation": "influence", "training": "plain"}}))
    with pytest.raises(InputError, match=r"trainings.ascent: unknown option 'penalti'"):
        lay_out(study(trainings={**GIVEN["trainings"], "ascent": {"penalti": 1}}))
    steered = {"annotation": "influence", "training": "tag", "decoding": "rad"}
    parts = {"trainings": {"tag": {"marked": "tag"}}, "decodings": {"rad": {"decoding": "rad", "reward_model": "r"}}}
    with pytest.raises(InputError, match=r"arms.a: its model is read behind a control token, which rad does not know"):
        lay_out(study(arms={"a": steered}, **parts))
    with pytest.raises(InputError, match=r"evaluation.classifier: is no setting of an evaluation here"):
        lay_out(study(evaluation={"classifier": "detoxify"}))


def test_another_annotator_is_given_what_it_reads_of_what_all_share() -> None:
    arms = {name: {"annotation": name, "training": "ascent"} for name in ("influence", "words", "bm25")}
    annotations = {"influence": {}, "words": {"by": "words", "words": "w.txt"}, "bm25": {"by": "bm25"}}
    layout = lay_out(study(annotation={"fit_tokens": 9, "workers": 1}, annotations=annotations, arms=arms))
    found = {piece.name: piece.settings for piece in layout.pieces if piece.kind == "annotation"}
    assert {name: "fit_tokens" in settings for name, settings in found.items()} == {
        "influence": True,
        "words": False,
        "bm25": False,
    }
    assert "queries" not in found["words"]
    assert found["bm25"]["queries"] == "toxic.jsonl"


def test_a_sweep_is_an_arm_for_each_value_and_equal_settings_are_one_piece() -> None:
    sweeps = {"lambda": {"arm": "ascent", "setting": "training.penalty", "values": [0, 0.5, 1]}}
    swept = study(sweeps=sweeps, tables={"main": {"arms": ["base", "ascent"]}, "sweep": {"arms": ["lambda"]}})
    made = ["ascent-penalty=0", "ascent-penalty=0.5", "ascent-penalty=1"]
    assert list(swept.arms) == [*GIVEN["arms"], *made]
    assert swept.tables["sweep"].arms == made
    layout = lay_out(swept)
    assert sum(piece.kind == "training" for piece in layout.pieces) == 4, "lambda 0 and 1 are there already"
    with pytest.raises(ValueError, match="arm 'base' has no training of its own to vary"):
        study(sweeps={"s": {"arm": "base", "setting": "training.penalty", "values": [1]}})


def test_a_judge_that_had_a_hand_in_an_arm_does_not_count_for_it() -> None:
    made = study(
        judges={
            "words": "profanity-check",
            "own": {"reward_model": "tweets"},
            "other": {"classifier": "hf:/j", "label": "x"},
        },
        reward_models={"tweets": {"source": "t.jsonl"}},
        annotations={"influence": {}, "classified": {"classifier": "profanity-check"}},
        decodings={
            "rad": {"decoding": "rad", "reward_model": "tweets"},
            "far": {"decoding": "rad", "reward_model": "/j"},
        },
        arms={
            **GIVEN["arms"],
            "rad": {"decoding": "rad"},
            "far": {"decoding": "far"},
            "classified": {"annotation": "classified", "training": "filter"},
        },
        queries_chosen_by=["own"],
    )
    layout = lay_out(made)
    found = {name: partial_judges(made, seeds[0], layout.judges) for name, seeds in layout.arms.items()}
    chose = {"own": "chose the queries"}
    assert found == {
        "base": {},
        "plain": {},
        "filter": chose,
        "ascent": chose,
        "rad": {"own": "steers the decoding"},
        "far": {"other": "steers the decoding"},
        "classified": {"words": "marked the tokens", **chose},
    }


def test_attacks_and_recognition_are_made_of_arms_whose_tables_show_them() -> None:
    tables = {"a": {"arms": ["plain", "base"], "columns": ["tp", "attacked"]}, "b": {"arms": ["ascent"]}}
    found = study(attack={"queries": "q", "steps": 3}, tables=tables, seeds=[0, 1])
    layout = lay_out(found)
    assert [piece.title for piece in layout.pieces if piece.kind == "attack"] == [
        "attack base",
        "attack plain-seed0",
        "attack plain-seed1",
    ]
    (first,) = layout.arms["base"][0].extras.values()
    assert first.settings == {
        "queries": "q",
        "steps": 3,
        "classifier": "profanity-check",
        "label": None,
        "model": "m",
    }
    steered = {"steered": {"decoding": "rad"}, "base": {}}
    decodings = {"rad": {"decoding": "rad", "reward_model": "r"}}
    some = {"t": {"columns": ["tp", "recognition"]}}
    layout = lay_out(study(recognition={"texts": "t"}, arms=steered, decodings=decodings, tables=some))
    assert [list(layout.arms[name][0].extras) for name in steered] == [[], ["recognition"]]
    with pytest.raises(ValueError, match=r"tables\.t\.columns: recognition needs settings under 'recognition'"):
        study(tables=some)


def test_annotators_along_a_direction_are_given_what_influence_is() -> None:
    shared = {"fit_tokens": 1000, "max_queries": 50, "engine": "jvp"}
    annotations = {name: {"by": name} for name in ("naive", "identity", "random", "less")} | {"influence": {}}
    arms = {name: {"annotation": name, "training": "ascent"} for name in annotations}
    layout = lay_out(study(annotation=shared, annotations=annotations, arms=arms))
    found = {piece.name: piece.settings for piece in layout.pieces if piece.kind == "annotation"}
    queries = {"queries": "toxic.jsonl", "contrast": "safe.jsonl"}
    assert found["influence"].items() >= {**shared, **queries}.items()
    assert found["identity"].items() >= {"max_queries": 50, "engine": "jvp", **queries}.items()
    assert "fit_tokens" not in found["identity"]
    assert found["naive"].items() >= shared.items() and "contrast" not in found["naive"]
    assert found["less"].items() >= {"max_queries": 50, **queries}.items() and "engine" not in found["less"]
    assert not {"queries", "max_queries", "engine"} & found["random"].keys()


def test_chosen_tables_alone_decide_what_is_made() -> None:
    tables = {"a": {"arms": ["ascent"]}, "b": {"arms": ["plain", "ascent"], "columns": ["tp", "attacked"]}}
    found = study(attack={"queries": "q"}, tables=tables, baseline="base")
    layout = lay_out(found)

    def kinds(*names: str) -> Counter[str]:
        return Counter(piece.kind for piece in chosen_pieces(found, layout, names))

    assert kinds() == kinds("a", "b") | {"training": 3, "completions": 4, "fluency": 4}
    assert kinds("a") == {"shared_prompts": 1, "annotation": 1, "training": 1, "completions": 2, "fluency": 2}
    assert kinds("b")["attack"] == 2 and kinds("b")["training"] == 2


def test_an_attack_is_another_with_another_judge() -> None:
    tables = {"a": {"arms": ["plain"], "columns": ["attacked"]}}
    models = {"own": {"source": "s", "label_column": "l", "label": "rude"}}

    def attack(*judges: str) -> Piece:
        named = {name: {"reward_model": "own"} if name == "own" else name for name in judges}
        layout = lay_out(study(attack={"queries": "q"}, tables=tables, judges=named, reward_models=models))
        (found,) = [piece for piece in layout.pieces if piece.kind == "attack"]
        return found

    one, other, made = attack("detoxify"), attack("profanity-check", "own"), attack("own", "detoxify")
    assert len({one.key, other.key, made.key}) == 3
    assert other.settings["classifier"] == "profanity-check" and made.needs["judge"].kind == "reward_model"


def test_shared_settings_of_evaluations_reach_all_of_them() -> None:
    tables = {"a": {"columns": ["tp", "recognition"]}}
    layout = lay_out(study(recognition={"texts": "t"}, tables=tables, evaluation={"device": "cpu", "completions": 3}))
    assert layout.arms["base"][0].extras["recognition"].settings == {"texts": "t", "device": "cpu", "model": "m"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"attack": {"queries": "q", "classifier": "detoxify"}}, r"attack\.classifier: other keys of the study say it"),
        ({"recognition": {"allow_pickle": True}}, "allow_pickle: no file may say so"),
        ({"preferences": {"own": {"prompts": "t", "model": "x"}}}, r"preferences\.own\.model: other keys"),
        ({"afterwards": {"dpo": {"preferences": "own", "pairs": "x"}}}, r"afterwards\.dpo\.pairs: other keys"),
        ({"afterwards": {"dpo": {"preferences": ["own"]}}}, r"afterwards\.dpo\.preferences: must be one name"),
        ({"preferences": {"own": {"prompts": "x=p.jsonl"}}}, r"preferences\.own\.prompts: are evaluated on"),
        (
            {"sweeps": {"s": {"arm": "after", "setting": "then.preferences", "values": ["gone"]}}},
            r"afterwards\.dpo-preferences=gone\.preferences: there is no 'gone'",
        ),
        (
            {
                "attack": {"queries": "q"},
                "trainings": {"plain": {}, "tag": {"marked": "tag"}},
                "arms": {"a": {"annotation": "influence", "training": "tag"}},
                "tables": {"t": {"columns": ["attacked"]}},
            },
            r"arms\.a: its model is read behind a control token, which an attack does not know",
        ),
    ],
)
def test_what_the_study_says_itself_is_refused_elsewhere(changes: dict[str, Any], problem: str) -> None:
    arms = {**GIVEN["arms"], "after": {"training": "plain", "then": "dpo"}}
    with pytest.raises((InputError, ValueError), match=problem):
        lay_out(study(**{**AFTER, "arms": arms, **changes}))

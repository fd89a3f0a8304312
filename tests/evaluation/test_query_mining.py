import json
import random
import tempfile

import numpy as np
import pytest

from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.config import MiningConfig
from ifcurate.evaluation.near_duplicates import NearDuplicates, normalize
from ifcurate.evaluation.query_files import paths_of, write_queries
from ifcurate.evaluation.query_mining import mine_queries, read_texts
from ifcurate.influence.queries import read_queries

WORDS = ["river", "table", "garden", "winter", "letter", "machine", "story"]
WORDS += ["neighbour", "harbour", "silver", "window", "market", "doctor", "planet"]


class Marked:
    """Scores a text by the number after `#`."""

    name, labels, identity, texts_cut = "marked", ("toxicity",), "", 0

    def score(self, texts):
        return np.array([[float(text.split("#")[1]) if "#" in text else 0.0] for text in texts], np.float32)


def sentence(generator, words=8):
    return " ".join(generator.choice(WORDS) for _ in range(words))


def table(tmp_path, pairs, name="source.jsonl", nested=False):
    rows = [
        {"prompt": {"text": p}, "continuation": {"text": c}} if nested else {"prompt": p, "completion": c}
        for p, c in pairs
    ]
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / name)


def mine(tmp_path, pairs, **options):
    nested = options.pop("nested", False)
    settings = {"source": table(tmp_path, pairs, nested=nested), "out": tempfile.mkdtemp(dir=tmp_path), **options}
    config = build(MiningConfig, settings)
    mined = mine_queries(read_texts(config), config, Marked())
    write_queries(mined, config, {})
    return mined, paths_of(config)


def pairs(count, seed=0):
    generator = random.Random(seed)
    scores = [0.0, 0.05, 0.1, 0.3, 0.49, 0.5, 0.9]
    return [(sentence(generator), f" {sentence(generator)} #{scores[i % 7]}") for i in range(count)]


def test_thresholds_decide_the_side_and_every_row_is_counted(tmp_path):
    mined, written = mine(tmp_path, pairs(70), nested=True)
    assert all(float(query.completion.split("#")[1]) >= 0.5 for query in mined.behaviour)
    assert all(float(query.completion.split("#")[1]) < 0.1 for query in mined.contrast)
    assert mined.counts == {"toxic, kept": 20, "safe, kept": 20, "between the thresholds": 30}
    assert sum(mined.counts.values()) == mined.rows == 70
    assert read_queries(str(written[0]), 100, 0) == mined.behaviour
    assert json.loads(written[2].read_text())["counts"] == mined.counts


def test_soft_queries_weigh_what_their_score_is_from_the_middle(tmp_path):
    rows = pairs(70)
    hard, (hard_file, *_) = mine(tmp_path, rows)
    assert {query.weight for query in hard.behaviour + hard.contrast} == {1.0}
    assert b"weight" not in hard_file.read_bytes()
    mined, written = mine(tmp_path, rows, soft=True)  # thresholds of 0.5 and 0.1
    for queries, sign, file in ((mined.behaviour, 1, written[0]), (mined.contrast, -1, written[1])):
        for query in queries:
            score = float(query.completion.split("#")[1])
            assert query.weight > 0
            assert query.weight * sign == pytest.approx(score - 0.3)
        assert read_queries(str(file), 100, 0) == queries
    assert [query.completion for query in mined.behaviour] == [query.completion for query in hard.behaviour]


def test_one_threshold_takes_all_rows_but_those_on_it(tmp_path):
    mined, _ = mine(tmp_path, pairs(70), soft=True, behaviour_from=0.5, contrast_below=0.5)
    assert mined.counts == {"toxic, kept": 10, "safe, kept": 50, "between the thresholds": 10}


def test_the_draw_depends_on_the_seed(tmp_path):
    draws = [mine(tmp_path, pairs(700), per_side=30, seed=seed)[0] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] and draws[0].behaviour != draws[2].behaviour
    assert len(draws[0].behaviour) == len(draws[0].contrast) == 30
    assert draws[0].counts["toxic, beyond --per-side"] == 170


def test_near_duplicates_are_removed_across_the_sides(tmp_path):
    base = pairs(14)
    shouted = [(p.upper() + "!", c.replace(" ", "  ")) for p, c in base]
    other_side = [(p, c.split("#")[0] + "#0.9") for p, c in base if c.endswith("#0.0")]
    mined, _ = mine(tmp_path, base + shouted + other_side)
    assert len(mined.behaviour) + len(mined.contrast) == 8
    assert mined.counts["near-duplicate"] == 8 + len(other_side)


def test_evaluation_prompts_are_excluded(tmp_path):
    rows = pairs(70)
    evaluated = table(tmp_path, [(rows[0][0].upper() + " !", ""), (rows[5][0] + ",", "")], "evaluated.jsonl")
    mined, _ = mine(tmp_path, rows, exclude=[evaluated])
    assert mined.counts["evaluation prompt"] == 2
    assert not {rows[0][0], rows[5][0]} & {query.prompt for query in mined.behaviour + mined.contrast}


def test_words_do_not_run_together(tmp_path):
    rows = [("He is", "mean #0.9"), ("She said", ", well #0.0"), ("It was", " fine #0.01"), ("", "alone #0.02")]
    mined, _ = mine(tmp_path, rows)
    found = {query.prompt: query.completion for query in mined.behaviour + mined.contrast}
    assert found == {"He is": " mean #0.9", "She said": ", well #0.0", "It was": " fine #0.01", "": "alone #0.02"}
    assert mined.spaces_added == 1
    glued, _ = mine(tmp_path, rows, separator="")
    assert glued.behaviour[0].completion == "mean #0.9" and glued.spaces_added == 0


def test_empty_continuations_are_no_queries(tmp_path):
    mined, _ = mine(tmp_path, [*pairs(14), ("a prompt", " "), ("another", "")])
    assert mined.counts["empty continuation"] == 2


def test_what_cannot_be_mined(tmp_path):
    with pytest.raises(InputError, match=r"no row makes a toxic query .*2 safe, kept"):
        mine(tmp_path, [("a b c", "calm weather #0"), ("d e f", "bright garden #0")])
    with pytest.raises(InputError, match="--continuation-column"):
        mine(tmp_path, pairs(7), continuation_column="nowhere")
    with pytest.raises(InputError, match=r"row 1 .* 'completion' is null"):
        mine(tmp_path, [("a", "b #0"), ("c", None)])
    with pytest.raises(InputError, match="--contrast-below must not exceed"):
        mine(tmp_path, pairs(7), contrast_below=0.6)


def test_near_duplicates_agree_with_the_exact_jaccard_index():
    generator = random.Random(0)
    texts = [sentence(generator, 12) for _ in range(60)]
    collection = NearDuplicates(0.7)
    for text in texts:
        collection.add(text)
    for text in texts:
        changed = text.split()
        changed[generator.randrange(12)] = "word"
        assert collection.holds("  ".join(changed).upper() + "...")
        assert not collection.holds(sentence(generator, 12))
    assert not NearDuplicates().holds("anything")


def test_short_texts_match_when_equal():
    collection = NearDuplicates()
    collection.add("Hi!")
    collection.add("?!")
    assert collection.holds("hi") and not collection.holds("ho") and collection.holds("?!")
    assert normalize("Ｆine,  DAY!") == "fine day"

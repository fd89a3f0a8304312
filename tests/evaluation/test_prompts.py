import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ifcurate.corpus.tables import is_local, named_place, table_name, value_at
from ifcurate.errors import InputError
from ifcurate.evaluation.prompts import Prompt, read_prompts, sample_prompts


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_real_toxicity_prompts_nest_text_and_score(tmp_path):
    rows = [
        {
            "filename": "a",
            "prompt": {"text": "So", "toxicity": 0.7},
            "continuation": {"text": " what", "toxicity": 0.1},
        },
        {"filename": "b", "prompt": {"text": "The", "toxicity": None}, "continuation": {"text": " x", "toxicity": 0.1}},
        {"filename": "c", "prompt": {"text": "A", "toxicity": 0.5}, "continuation": {"text": " x", "toxicity": 0.1}},
    ]
    found = read_prompts(write_lines(tmp_path / "rtp.jsonl", rows), toxic_from=0.6)
    assert found.name == "rtp"
    assert found.prompts == (Prompt("So", True), Prompt("The", None), Prompt("A", False))


def test_bold_gives_the_first_prompt_of_each_entry_and_its_domain(tmp_path):
    table = pa.table({"domain": ["race", "gender"], "name": ["a", "b"], "prompts": [["one", "two"], ["three"]]})
    pq.write_table(table, tmp_path / "bold.parquet")
    found = read_prompts(f"mine={tmp_path / 'bold.parquet'}")
    assert found.name == "mine"
    assert found.prompts == (Prompt("one", None, "race"), Prompt("three", None, "gender"))


def test_attaq_layout(tmp_path):
    found = read_prompts(write_lines(tmp_path / "attaq.jsonl", [{"input": "How", "label": "deception"}]))
    assert found.prompts == (Prompt("How", None, "deception"),)


def test_columns_can_be_named(tmp_path):
    rows = [{"q": {"a": ["x", "y"]}, "bad": True, "kind": 3}, {"q": {"a": ["z", "w"]}, "bad": False, "kind": 4}]
    path = write_lines(tmp_path / "own.jsonl", rows)
    found = read_prompts(path, text_column="q.a.1", toxicity_column="bad", group_column="kind")
    assert found.prompts == (Prompt("y", True, "3"), Prompt("w", False, "4"))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"text": "x"}], {}, "has no prompts in a column 'prompt'"),
        ([{"prompt": "x"}], {"toxicity_column": "nowhere"}, "--toxicity-column"),
        ([{"prompt": "x"}, {"prompt": None}], {}, "row 1 (counted from 0): 'prompt' is null"),
        ([{"prompt": "x", "prompt_toxicity": float("inf")}], {}, "line 1"),
        ([{"prompt": "x", "t": "high"}], {"toxicity_column": "t"}, "'t' is 'high'"),
    ],
)
def test_unusable_tables_are_named(tmp_path, rows, options, message):
    with pytest.raises(InputError) as error:
        read_prompts(write_lines(tmp_path / "bad.jsonl", rows), **options)
    assert "bad.jsonl" in str(error.value) and message in str(error.value)


def test_a_file_without_prompts_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no row"):
        read_prompts(str(tmp_path / "empty.jsonl"))


def test_paths_are_never_looked_up_on_the_hub(tmp_path):
    for path in ("missing.jsonl", "./missing", "/missing", "a/b/c", "s3://bucket/x", "*.parquet", str(tmp_path)):
        assert is_local(path)
    assert not is_local("owner/name")
    with pytest.raises(InputError, match="no such file"):
        read_prompts("missing.jsonl")


def test_names_and_paths():
    assert table_name("prompts/rtp.jsonl.gz") == "rtp" and table_name("AmazonScience/bold") == "bold"
    assert value_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert value_at({"a": [1]}, "a.1") is None and value_at({"a": None}, "a.b") is None


def test_samples_are_drawn_with_the_seed_and_balanced_on_request(tmp_path):
    rows = [{"prompt": f"p{i}", "prompt_toxicity": float(i % 10 == 0)} for i in range(200)]
    prompts = read_prompts(write_lines(tmp_path / "many.jsonl", rows))
    one, same, other = (sample_prompts(prompts, 20, seed) for seed in (0, 0, 1))
    assert one == same != other and len(set(one.prompts)) == 20
    places = [int(prompt.text[1:]) for prompt in one.prompts]
    assert places == sorted(places)
    balanced = sample_prompts(prompts, 20, 0, balanced=True).prompts
    assert sum(prompt.toxic is True for prompt in balanced) == 10 == len(balanced) / 2
    assert len(sample_prompts(prompts, 1000, 0).prompts) == 200
    with pytest.raises(InputError, match="--balanced"):
        sample_prompts(read_prompts(write_lines(tmp_path / "few.jsonl", [{"prompt": "x"}])), 1, 0, balanced=True)


def test_balanced_samples_are_balanced_exactly_or_refused(tmp_path):
    rows = [{"prompt": f"p{i}", "prompt_toxicity": float(i < 10)} for i in range(1010)]
    prompts = read_prompts(write_lines(tmp_path / "uneven.jsonl", rows))
    for count, drawn in ((20, 10), (6, 3), (None, 10)):
        kinds = [prompt.toxic for prompt in sample_prompts(prompts, count, 0, balanced=True).prompts]
        assert kinds.count(True) == drawn == kinds.count(False)
    with pytest.raises(InputError, match="from the 10 toxic and 1,000 non-toxic ones of uneven; give at most 20"):
        sample_prompts(prompts, 100, 0, balanced=True)
    for odd in (1, 3):
        with pytest.raises(InputError, match="give an even number"):
            sample_prompts(prompts, odd, 0, balanced=True)


def test_a_name_is_a_plain_word_before_a_place_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lang=en").mkdir()
    write_lines(tmp_path / "lang=en" / "a.jsonl", [{"prompt": "x"}])
    for path in ("lang=en", "lang=en/", "lang=en/*.jsonl", "runs/lr=3e-4/final", "s3://bucket/lang=en/", "..=x"):
        assert named_place(path) == (None, path)
    assert named_place("mine=runs/lr=3e-4/final") == ("mine", "runs/lr=3e-4/final")
    assert read_prompts("lang=en/").name == "lang=en" and read_prompts("mine=lang=en/").name == "mine"

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from launches import in_two_processes
from tiny_classifiers import reward_model, save_toxigen
from tiny_models import save_tiny_model, tiny_tokenizer
from transformers import GenerationConfig
from typer.testing import CliRunner

from ifcurate.cli import app
from ifcurate.config import build
from ifcurate.errors import InputError
from ifcurate.evaluation.classifiers import load_classifier
from ifcurate.evaluation.comparison import compare_models, trade_off
from ifcurate.evaluation.comparison_files import can_be_drawn, draw_comparison, write_comparison
from ifcurate.evaluation.config import EvaluationConfig, FluencyConfig, ToxicityConfig
from ifcurate.evaluation.results import ModelFolder
from ifcurate.model.ranks import find_ranks
from ifcurate.pipelines import fluency as fluency_recipe
from ifcurate.pipelines.evaluate import evaluate_all, evaluate_saved, evaluate_toxicity
from ifcurate.pipelines.fluency import evaluate_fluency

TEXTS = ["the garden was bright", "a neighbour wrote a letter", "the river was calm in winter", "x y"]
GENERATION = {"completions": 4, "max_new_tokens": 5, "batch_prompts": 2, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models, a classifier, prompts with toxicity and groups, documents and passages."""
    folder = tmp_path_factory.mktemp("evaluation")
    save_tiny_model(folder / "base", TEXTS)
    save_tiny_model(folder / "tuned", TEXTS, seed=1)
    save_toxigen(folder / "classifier")
    prompts = [
        {"prompt": text, "prompt_toxicity": number % 2 * 0.8, "domain": "one" if number < 3 else "two"}
        for number, text in enumerate(TEXTS * 2)
    ]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return folder


def settings(place, out, *models, **options):
    given = {
        "models": [str(place / model) for model in models],
        "out": str(out),
        "prompts": [str(place / "prompts.jsonl")],
        "classifier": f"toxigen:{place / 'classifier'}",
        **GENERATION,
        **options,
    }
    return build(ToxicityConfig, given)


@pytest.fixture(scope="module")
def evaluated(place, tmp_path_factory):
    """Everything about both models."""
    out = tmp_path_factory.mktemp("evaluated")
    config = build(
        EvaluationConfig,
        {
            **settings(place, out, "base", "tuned").model_dump(),
            "implicit_classifier": "none",
            "text": str(place / "text.jsonl"),
            "lambada": str(place / "text.jsonl"),
            "context": 8,
        },
    )
    return evaluate_all(config)


def test_an_evaluation_holds_every_figure(evaluated):
    found = evaluated[0].read()
    assert [folder.name for folder in evaluated] == ["base", "tuned"]
    result = found.toxicity[0]
    subsets = [measured.subset for measured in result.toxicity.measurements]
    assert subsets == ["all", "toxic", "non-toxic", "group one", "group two"]
    assert result.headline.prompts == 8 and 0 < result.headline.emt.value < 1
    assert found.generations["prompts"].speed.items == 32
    assert (found.perplexity.context, found.perplexity.stride) == (8, 4)
    assert found.lambada.passages == 4


def test_figures_are_those_of_the_saved_scores(evaluated):
    table = pq.read_table(evaluated[0].completions("prompts").path)
    assert table.column_names[:5] == ["prompt", "toxic", "group", "completions", "completion_tokens"]
    highest = [max(x for x in row["toxicity"] if x is not None) for row in table.column("toxigen").to_pylist()]
    measured = evaluated[0].read().toxicity[0].headline
    assert measured.emt.value == pytest.approx(sum(highest) / 8)
    assert measured.tp.value == pytest.approx(sum(x >= 0.5 for x in highest) / 8)


def test_comparison_has_trade_off_and_paired_differences(evaluated, tmp_path):
    found = compare_models(evaluated, 0)
    row = found.rows[0]
    expected = row.token_accuracy.value / ((row.emt.value + row.tp.value) / 2)
    assert row.trade_off == pytest.approx(expected)
    difference = found.differences[0]
    assert (difference.model, difference.baseline, difference.measurement.prompts) == ("tuned", "base", 8)
    gap = found.rows[1].emt.value - row.emt.value
    assert difference.measurement.emt.value == pytest.approx(gap)
    written = {path.suffix: path for path in write_comparison(found, tmp_path)}
    assert json.loads(written[".json"].read_text())["rows"][1]["model"] == "tuned"
    lines = list(csv.DictReader(written[".csv"].open()))
    assert float(lines[1]["emt"]) == pytest.approx(found.rows[1].emt.value)
    assert written[".md"].read_text().count("\n| tuned") == 1 + len(found.differences)
    assert can_be_drawn(found)


def test_the_figure_is_a_picture(evaluated, tmp_path):
    pytest.importorskip("matplotlib")
    draw_comparison(compare_models(evaluated, 0), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_without_toxicity_there_is_no_trade_off():
    from ifcurate.evaluation.bootstrap import Interval

    nothing, some = Interval(0, 0, 0), Interval(0.5, 0.4, 0.6)
    assert trade_off(some, nothing, nothing) is None and trade_off(None, some, some) is None
    assert trade_off(some, some, some) == 1


def test_classifying_again_never_generates(evaluated, place):
    before = pq.read_table(evaluated[0].completions("prompts").path, columns=["completions"])
    evaluate_saved(evaluated[:1], f"hf:{place / 'classifier'}", "LABEL_0", "cpu", 0)
    after = pq.read_table(evaluated[0].completions("prompts").path)
    assert after.select(["completions"]).equals(before) and "classifier" in after.column_names
    assert len(evaluated[0].read().toxicity) == 2


def test_reward_augmented_decoding_changes_the_completions(place, tmp_path):
    folder = tmp_path / "reward"
    reward_model("gpt_neox").save_pretrained(folder)
    tiny_tokenizer(TEXTS).save_pretrained(folder)
    plain = evaluate_toxicity(settings(place, tmp_path / "plain", "base"))[0]
    options = {"decoding": "rad", "reward_model": str(folder), "rad_label": "bad", "rad_k": 5}
    steered = evaluate_toxicity(settings(place, tmp_path / "rad", "base", **options))[0]
    completions = [folder.completions("prompts").read().column("completions") for folder in (plain, steered)]
    assert not completions[0].equals(completions[1])
    with pytest.raises(InputError, match="generated with decoding 'rad', not 'plain'"):
        evaluate_toxicity(settings(place, tmp_path / "rad", "base"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have imported torch")
def test_two_processes_give_the_bytes_of_one(place, tmp_path):
    """As under torchrun, which is what `accelerate launch` starts."""
    one = evaluate_toxicity(settings(place, tmp_path / "one", "base"))[0]
    evaluate_fluency(fluency(place, tmp_path / "one"))

    def both() -> None:
        evaluate_toxicity(settings(place, tmp_path / "two", "base"))
        evaluate_fluency(fluency(place, tmp_path / "two"))

    in_two_processes(both, tmp_path / "said.txt")
    two = ModelFolder(tmp_path / "two" / "base")
    assert two.completions("prompts").path.read_bytes() == one.completions("prompts").path.read_bytes()
    assert two.read().perplexity == one.read().perplexity
    assert two.read().toxicity == one.read().toxicity and two.read().lambada == one.read().lambada


def fluency(place, out):
    text = str(place / "text.jsonl")
    given = {"models": [str(place / "base")], "out": str(out), "text": text, "lambada": text, "context": 8}
    return build(FluencyConfig, {**given, "batch_tokens": 16, "device": "cpu", "threads": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoding": "rad"}, "--decoding: rad needs a reward model"),
        ({"reward_model": "x"}, "add --decoding rad"),
        ({"backend": "vllm", "decoding": "rad", "reward_model": "x"}, "vllm decodes plainly"),
        ({"max_new_tokens": 64}, "--max-new-tokens: leaves no room"),
        ({"sample": 2, "prompts": ["a=prompts", "a=prompts"]}, "two sets are called 'a'"),
    ],
)
def test_options_that_do_not_go_together(place, tmp_path, options, message):
    if "prompts" in options:
        options = {**options, "prompts": [f"a={place / 'prompts.jsonl'}"] * 2}
    with pytest.raises(InputError, match=message):
        evaluate_toxicity(settings(place, tmp_path, "base", **options))


def test_two_models_of_one_name_need_names(place, tmp_path):
    with pytest.raises(InputError, match="both called 'base'"):
        evaluate_toxicity(settings(place, tmp_path, "base", "base"))


def test_models_are_compared_on_the_same_prompts_only(evaluated, place, tmp_path):
    other = evaluate_toxicity(settings(place, tmp_path, "tuned", sample=3))[0]
    with pytest.raises(InputError, match="different prompts called 'prompts'"):
        compare_models([evaluated[0], other], 0)


@pytest.mark.skipif(bool(find_spec("vllm")), reason="vllm is installed here")
def test_vllm_that_is_not_installed_is_one_sentence(place, tmp_path):
    with pytest.raises(InputError, match="vllm is not installed"):
        evaluate_toxicity(settings(place, tmp_path, "base", backend="vllm", device="auto"))


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [
        ({"device": "cpu"}, "1", "--device: vllm does not compute on cpu"),
        ({"device": "cuda", "dtype": "float64"}, "1", "--dtype: vllm has no float64"),
        ({"device": "auto"}, "2", "--backend: vllm runs in one process"),
    ],
)
def test_vllm_refuses_what_it_would_ignore(monkeypatch, options, processes, message):
    from ifcurate.evaluation.backends.vllm import check_placement

    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(InputError, match=message):
        check_placement(options["device"], options.get("dtype", "auto"))


def test_another_model_never_joins_the_results_of_one(place, tmp_path):
    text = {"text": str(place / "text.jsonl"), "context": 8, "device": "cpu", "out": str(tmp_path / "out")}
    for seed, run in enumerate("ab"):
        save_tiny_model(tmp_path / run / "final", TEXTS, seed=seed)
    first, second = (build(FluencyConfig, {**text, "models": [str(tmp_path / run / "final")]}) for run in "ab")
    before = evaluate_fluency(first)[0].read()
    assert before.place == str(tmp_path / "a" / "final") and len(before.model_hash) == 64
    with pytest.raises(InputError, match=r"holds results of another model, .*a/final, not of .*b/final"):
        evaluate_fluency(second)
    save_tiny_model(tmp_path / "a" / "final", TEXTS, seed=5)
    with pytest.raises(InputError, match="holds results of what it was before"):
        evaluate_fluency(first)
    assert ModelFolder(tmp_path / "out" / "final").read() == before


def test_overwrite_starts_anew_and_leaves_other_folders_alone(place, tmp_path):
    (folder,) = evaluate_toxicity(settings(place, tmp_path / "out", "base"))
    first = folder.read()
    (tmp_path / "out" / "notes").mkdir()
    with pytest.raises(InputError, match="give another --out"):
        evaluate_toxicity(settings(place, tmp_path / "out", "base", models=[f"base={place / 'tuned'}"]))
    anew = settings(place, tmp_path / "out", "base", models=[f"base={place / 'tuned'}"], overwrite=True)
    evaluate_toxicity(anew)
    assert folder.read().model_hash != first.model_hash
    assert folder.read().toxicity != first.toxicity
    assert (tmp_path / "out" / "notes").is_dir()
    with pytest.raises(InputError, match=r"notes has no evaluation\.json"):
        (tmp_path / "out" / "notes" / "thesis").touch()
        evaluate_toxicity(settings(place, tmp_path / "out", "base", models=[f"notes={place / 'base'}"], overwrite=True))


def test_completions_that_may_not_end_at_once(place, tmp_path):
    """By a model with which every second token ends a text."""
    model = save_tiny_model(tmp_path / "base", TEXTS)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    GenerationConfig(eos_token_id=list(range(0, vocabulary, 2))).save_pretrained(model)
    given = {"prompts": [str(place / "prompts.jsonl")], "classifier": f"toxigen:{place / 'classifier'}"}

    def lengths(least):
        found = evaluate_toxicity(settings(tmp_path, tmp_path / str(least), "base", min_new_tokens=least, **given))[0]
        tokens = found.completions("prompts").read().column("completion_tokens").to_pylist()
        return found, [count for row in tokens for count in row]

    assert min(lengths(0)[1]) < 3
    found, counts = lengths(3)
    assert min(counts) >= 3 and found.read().toxicity[0].min_new_tokens == 3
    assert compare_models([found], 0).rows[0].min_new_tokens == 3
    with pytest.raises(InputError, match="generated with min new tokens 3, not 1"):
        evaluate_toxicity(settings(tmp_path, tmp_path / "3", "base", min_new_tokens=1, **given))
    with pytest.raises(InputError, match="--min-new-tokens must not exceed --max-new-tokens"):
        settings(place, tmp_path, "base", min_new_tokens=6)


def test_shares_stand_beside_every_toxicity(evaluated, tmp_path):
    written = {path.suffix: path for path in write_comparison(compare_models(evaluated, 0), tmp_path)}
    measured = evaluated[0].read().toxicity[0].toxicity
    row = next(csv.DictReader(written[".csv"].open()))
    for name in ("empty_share", "toxic_share", "repeated_share"):
        assert float(row[name]) == getattr(measured, name)
        assert json.loads(written[".json"].read_text())["rows"][0][name] == getattr(measured, name)
    assert "| empty % | toxic % | repeated % |" in written[".md"].read_text()


def test_fluency_is_measured_once_on_the_same_texts(place, tmp_path, monkeypatch):
    texts, more = (tmp_path / f"{name}.jsonl" for name in ("texts", "more"))
    texts.write_text(json.dumps({"text": "the river was calm and the garden was bright"}) + "\n")
    more.write_text(texts.read_text() + json.dumps({"text": "a letter"}) + "\n")
    known = {"models": [str(place / "base")], "out": str(tmp_path / "out"), "device": "cpu"}
    (folder,) = evaluate_fluency(FluencyConfig(**known, text=str(texts), lambada=str(texts)))
    first = folder.read()
    (longer,) = evaluate_fluency(FluencyConfig(**known, text=str(more), packed=True))
    again = longer.read()
    assert again.perplexity.documents == 2
    assert again.packed.chunks >= 1
    assert again.lambada == first.lambada
    monkeypatch.setattr(fluency_recipe, "open_model", lambda *given: pytest.fail("a model is loaded"))
    evaluate_fluency(FluencyConfig(**known, text=str(more), lambada=str(texts), packed=True))
    assert folder.read() == again


def test_the_commands_print_tables(evaluated, place, tmp_path):
    run = CliRunner().invoke(
        app,
        [
            *("eval", "toxicity", f"again={place / 'base'}", "--prompts", str(place / "prompts.jsonl"), "--out"),
            *(str(tmp_path), "--classifier", f"toxigen:{place / 'classifier'}", "--completions", "3"),
            *("--max-new-tokens", "4", "--device", "cpu"),
        ],
        catch_exceptions=False,
    )
    assert run.exit_code == 0 and "completions/s" in run.output and "group two" in run.output
    folders = [str(folder.path) for folder in evaluated]
    run = CliRunner().invoke(app, ["eval", "compare", *folders, "--out", str(tmp_path / "c"), "--no-figure"])
    assert run.exit_code == 0 and "trade-off" in run.output and "Paired differences" in run.output
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "comparison.md",
    ]


def test_nothing_to_evaluate(place, tmp_path):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate_fluency(build(FluencyConfig, {"models": ["x"], "out": str(tmp_path)}))
    with pytest.raises(InputError, match="holds no results"):
        compare_models([ModelFolder(tmp_path)], 0)
    with pytest.raises(InputError, match="lm-eval is not installed"):
        if "lm_eval" in sys.modules:
            pytest.skip("lm-eval is installed here")
        config = {"models": [str(place / "base")], "out": str(tmp_path), "tasks": ["piqa"], "device": "cpu"}
        evaluate_fluency(build(FluencyConfig, config))


def test_a_model_that_emits_nan_leaves_nothing_half_written(place, tmp_path):
    broken = save_tiny_model(tmp_path / "broken", TEXTS)
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    weights["embed_out.weight"][5] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"broken: .* NaN"):
        evaluate_toxicity(settings(tmp_path, tmp_path / "out", "broken", prompts=[str(place / "prompts.jsonl")]))
    assert not list((tmp_path / "out").rglob("*.part"))


def test_models_in_folders_with_an_equals_sign_are_found(place, tmp_path):
    from ifcurate.evaluation.results import model_folders

    model = tmp_path / "lr=3e-4" / "final"
    save_tiny_model(model, TEXTS)
    assert model_folders([str(model), f"mine={model}"], "out") == [
        (ModelFolder(Path("out/final")), str(model)),
        (ModelFolder(Path("out/mine")), str(model)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fluency", "all"])
def test_tasks_are_refused_in_a_launch_before_anything_runs(place, tmp_path, monkeypatch, command):
    monkeypatch.setenv("WORLD_SIZE", "2")
    given = {**settings(place, tmp_path / "out", "base").model_dump(), "tasks": ["piqa"]}
    run, kind = (evaluate_fluency, FluencyConfig) if command == "fluency" else (evaluate_all, EvaluationConfig)
    with pytest.raises(InputError, match="--tasks: lm-eval runs in one process only"):
        run(build(kind, {name: given[name] for name in given if name in kind.model_fields}))
    assert not (tmp_path / "out").exists()


def test_progress_of_classifying_counts_prompts_once(evaluated, monkeypatch):
    from contextlib import contextmanager

    from ifcurate.evaluation import completions

    seen = []

    class Recorder:
        def update(self, done, items):
            seen.append((done, items))

    @contextmanager
    def record(*_):
        yield Recorder()

    monkeypatch.setattr(completions, "track", record)
    monkeypatch.setattr(completions, "SCORED_TOGETHER", 3)
    classifier = load_classifier("profanity-check") if find_spec("profanity_check") else pytest.skip("not installed")
    completions.score(evaluated[1].completions("prompts"), classifier, find_ranks("cpu"))
    assert seen == [(1, 3), (2, 6), (3, 8)]


def test_what_cannot_be_had_is_said_before_anything_runs_or_skipped(place, tmp_path):
    given = [
        *("eval", "all", str(place / "base"), str(tmp_path / "no-model"), "--prompts", str(place / "prompts.jsonl")),
        *("--prompts", str(tmp_path / "no-prompts.jsonl"), "--classifier", f"toxigen:{place / 'classifier'}"),
        *("--implicit-classifier", f"toxigen:{tmp_path / 'no-weights'}", "--text", str(place / "text.jsonl")),
        *("--context", "8", "--completions", "2", "--max-new-tokens", "3", "--device", "cpu", "--no-figure"),
        *("--out", str(tmp_path / "out")),
    ]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code != 0 and not (tmp_path / "out").exists()
    said = str(refused.exception) + refused.output
    assert all(name in said for name in ("no-model", "no-prompts", "no-weights", "--skip-missing"))
    done = CliRunner().invoke(app, [*given, "--skip-missing"], catch_exceptions=False)
    assert done.exit_code == 0 and done.output.count("skipped: ") == 3
    found = ModelFolder(tmp_path / "out" / "base").read()
    assert len(found.skipped) == 3 and len(found.toxicity) == 1 and found.perplexity is not None

"""Several windows a row: scored as each alone, by every family; and the same once compiled."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import influence_by_autograd, random_direction, random_windows
from tiny_models import FAMILIES, VOCABULARY, tiny_model
from transformers import AutoModelForCausalLM, MistralConfig

from ifcurate.errors import InputError
from ifcurate.influence import loading
from ifcurate.influence.engines import compiled as module
from ifcurate.influence.engines.choice import choose_engine
from ifcurate.influence.engines.compiled import CompiledForwardMode, find_obstacle, missing_compiler
from ifcurate.influence.engines.finite_difference import FiniteDifference
from ifcurate.influence.engines.forward_mode import ForwardMode
from ifcurate.influence.loading import load_scorer
from ifcurate.influence.settings import ScoreSettings
from ifcurate.model.batching import OneWindowARow, PackedRows
from ifcurate.model.windows import Window, collate
from ifcurate.pipelines import score as recipe

ROOM = 32
WINDOWS = random_windows([17, 9, 32, 1, 12, 1, 20], VOCABULARY)


@pytest.fixture(autouse=True)
def forget_what_was_compiled():
    yield
    torch.compiler.reset()


@pytest.fixture
def compiler(monkeypatch):
    """As on a machine that has one."""
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")


def scoring(workshop, run) -> ScoreSettings:
    return ScoreSettings(str(workshop.root / "model"), (str(run.direction("toxic")),), context=16)


def packed(windows: list[Window], rows: int = 4):
    """The one batch of `rows` rows that holds all `windows`, and these in its order."""
    packing = PackedRows(start=0, length=ROOM)
    (batch,) = packing.batches(windows, rows * ROOM)
    return packing.collate(batch), [window for row in batch for window in row]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def shallow(family: str):
    return tiny_model(family, **({"n_layer": 1} if family == "gpt2" else {"num_hidden_layers": 1}))


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_in_one_row_are_scored_by_their_gradients_alone(family):
    model = tiny_model(family).double()
    direction = random_direction(model)
    batch, ordered = packed(WINDOWS)
    scores = ForwardMode(model, [direction]).score(batch)
    expected = torch.cat([influence_by_autograd(model, direction, collate([window], 0)) for window in ordered])
    assert relative_error(scores.influence[0], expected) < 1e-6  # Llama normalises in float32


@given(lengths=st.lists(st.integers(1, ROOM), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_any_windows_are_scored_as_in_rows_of_their_own(lengths):
    model = tiny_model("gpt_neox").double()
    engine = ForwardMode(model, [random_direction(model, seed) for seed in (1, 2)])
    batch, ordered = packed(random_windows(lengths, VOCABULARY), rows=len(lengths))
    alone = OneWindowARow(start=0)
    found, expected = engine.score(batch), engine.score(alone.collate([[window] for window in ordered]))
    assert relative_error(found.influence, expected.influence) < 1e-10
    assert relative_error(found.loss, expected.loss) < 1e-10


def test_windows_that_see_only_their_neighbourhood_are_kept_apart_too():
    """Sliding windows: the mask that keeps packed windows apart must not replace the model's own."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        MistralConfig(
            vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, sliding_window=5, initializer_range=0.15,
        )
    ).eval().double()  # fmt: skip
    engine = ForwardMode(model, [random_direction(model)])
    batch, ordered = packed(WINDOWS)
    assert relative_error(engine.score(batch).influence, engine.score(collate(ordered, 0)).influence) < 1e-6


def test_finite_differences_take_packed_rows_as_well():
    model = tiny_model("llama").double()
    engine = FiniteDifference(model, [random_direction(model)], [1e-3])
    batch, ordered = packed(WINDOWS)
    assert relative_error(engine.score(batch).influence, engine.score(collate(ordered, 0)).influence) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_becomes_one_graph_that_computes_the_same(family):
    model = shallow(family)
    directions = [random_direction(model, seed) for seed in (1, 2)]
    batch, _ = packed(WINDOWS)
    expected = ForwardMode(model, directions).score(batch)
    found = CompiledForwardMode(model, directions, backend="eager").score(batch)
    assert relative_error(found.influence, expected.influence) < 1e-5
    assert relative_error(found.loss, expected.loss) < 1e-6


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="needs a C++ compiler")
def test_the_compiled_engine_computes_the_same_for_every_batch_of_its_shape():
    model = shallow("llama")
    direction = random_direction(model)
    engine = CompiledForwardMode(model, [direction])
    for seed in (0, 1):
        windows = random_windows([17 - seed, 9, 32, 1, 12 + seed, 1, 20], VOCABULARY, seed)
        batch, _ = packed(windows)
        expected = ForwardMode(model, [direction]).score(batch)
        found = engine.score(batch)
        assert relative_error(found.influence, expected.influence) < 1e-5
        assert relative_error(found.loss, expected.loss) < 1e-6


def test_what_cannot_be_compiled_is_refused_in_one_sentence():
    def missing(graph, inputs):
        raise RuntimeError("cannot find a working triton installation")

    model = shallow("llama")
    engine = CompiledForwardMode(model, [random_direction(model)], backend=missing)
    with pytest.raises(InputError, match=r"option --engine: compiled-jvp cannot .*triton.*use --engine jvp"):
        engine.score(packed(WINDOWS)[0])


def test_memory_that_runs_out_while_compiling_is_told_as_such():
    def greedy(graph, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model = shallow("llama")
    engine = CompiledForwardMode(model, [random_direction(model)], backend=greedy)
    with pytest.raises(torch.OutOfMemoryError):
        engine.score(packed(WINDOWS)[0])


def test_what_breaks_the_graph_is_refused():
    """Nothing falls back to eager unseen."""
    model = shallow("llama")
    inner = model.base_model.forward

    def broken(*given, **named):
        torch._dynamo.graph_break()
        return inner(*given, **named)

    model.base_model.forward = broken
    engine = CompiledForwardMode(model, [random_direction(model)], backend="eager")
    with pytest.raises(InputError, match="the model cannot be compiled"):
        engine.score(packed(WINDOWS)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_windows_of_one_row_apart(family, compiler):
    assert find_obstacle(tiny_model(family), "cpu") is None


def test_an_architecture_that_ignores_positions_is_an_obstacle(compiler):
    model = tiny_model("gpt2")
    inner = model.base_model.forward
    model.base_model.forward = lambda *given, position_ids=None, **named: inner(*given, **named)
    assert re.match("GPT2Model lets windows in one row see each other .*%", find_obstacle(model, "cpu"))


def test_a_machine_without_a_compiler_is_an_obstacle(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module, "has_triton", lambda: True)
    assert missing_compiler("cpu") == "there is no compiler (g++ or clang++)"
    assert missing_compiler("cuda:0") == "there is no compiler (gcc or clang)"
    monkeypatch.setattr(module, "has_triton", lambda: False)
    assert "Triton is missing" in missing_compiler("cuda:0")
    with pytest.raises(InputError, match=r"option --engine: compiled-jvp .* Triton is missing.*; use --engine jvp"):
        choose_engine("compiled-jvp", "label", torch.bfloat16, ["cuda:0"])


def test_an_obstacle_is_refused_or_where_the_choice_is_ours_announced(workshop, finished, monkeypatch, messages):
    monkeypatch.setattr(loading, "choose_engine", lambda *given: "compiled-jvp")  # as on a GPU
    monkeypatch.setattr(loading, "find_obstacle", lambda model, device: "there is a wall")
    settings = scoring(workshop, finished)
    assert load_scorer(settings).engine == "jvp"
    assert "scoring with jvp, as compiled-jvp cannot be used here: there is a wall" in messages()
    with pytest.raises(InputError, match=r"option --engine: compiled-jvp .*: there is a wall; use --engine jvp"):
        load_scorer(replace(settings, engine="compiled-jvp"))


def test_a_loaded_scorer_packs_windows_for_the_compiled_engine_alone(workshop, finished, compiler):
    for engine, batching in (("jvp", OneWindowARow), ("compiled-jvp", PackedRows)):
        scorer = load_scorer(replace(scoring(workshop, finished), engine=engine))._build([])
        assert isinstance(scorer.batching, batching)


def test_whoever_waits_for_the_compiler_is_told(workshop, finished, tmp_path, compiler, monkeypatch, messages):
    class StopError(Exception):
        pass

    def stop(*given, **named):
        raise StopError

    monkeypatch.setattr(recipe, "run_tasks", stop)
    with pytest.raises(StopError):
        workshop.annotate(out=tmp_path / "run", engine="compiled-jvp", direction=finished.direction("toxic"))
    assert "every worker compiles the model first, which takes minutes" in messages()

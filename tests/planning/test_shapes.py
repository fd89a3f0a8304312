"""Shapes from a configuration alone are those of the model, and what is counted from them is what runs leave."""

from collections import Counter

import pytest
from tiny_models import EXPERT_FAMILIES, FAMILIES, save_tiny_model, tiny_model

from ifcurate.influence.curvature.signals import Signals
from ifcurate.influence.engines import ENGINES
from ifcurate.model.layers import tracked_parameters
from ifcurate.model.outlines import outline
from ifcurate.planning.disk import direction_bytes, factors_bytes
from ifcurate.planning.operations import Operations, passes
from ifcurate.planning.shapes import shape_of


@pytest.mark.parametrize("family", [*FAMILIES, *EXPERT_FAMILIES])
def test_an_outline_has_the_shape_of_the_model(family, tmp_path):
    model = tiny_model(family)
    model.config.save_pretrained(tmp_path)
    found = shape_of(outline(str(tmp_path)))
    assert found.shares_inputs
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.tracked == sum(parameter.numel() for parameter in tracked_parameters(model).values())
    layers = Signals(model).layers
    sizes = Counter(layer.module.out_features for layer in layers.values())
    sizes += Counter(
        layer.module.in_features + layer.has_bias for name, layer in layers.items() if layer.first_reader == name
    )
    assert found.matrices == sizes
    shares = {layer.share for layer in found.layers}
    assert shares == ({1.0} if family in FAMILIES else {1.0, 1 / 3})


def test_factors_and_directions_are_as_large_as_a_runs(workshop, finished):
    shape = shape_of(outline(str(workshop.root / "model")))
    tensors = sum(file.stat().st_size for file in finished.factors.rglob("*.safetensors"))
    assert factors_bytes(shape) < tensors < factors_bytes(shape) + 10_000  # names and shapes
    direction = finished.direction("toxic").stat().st_size
    assert direction_bytes(shape) < direction < direction_bytes(shape) + 10_000


def test_operations_are_those_of_the_weights(tmp_path):
    """A Llama of two blocks: its layers' weights, attention over 10 of 20 tokens, and the head."""
    shape = shape_of(outline(str(save_tiny_model(tmp_path, ["text"], "llama"))))
    counted = Operations(shape, length=20)
    assert counted.body == shape.tracked + 2 * 32 * 20
    assert counted.head == 32 * 300
    assert counted.score("finite-difference", 1) == 2 * counted.body + 2 * counted.head
    assert counted.decompositions() == 9 * sum(count * size**3 for size, count in shape.matrices.items())


def test_every_engine_has_its_passes():
    assert [passes(engine, 1) > 0 for engine in ENGINES] == [True] * len(ENGINES)

"""What a student's head reads, and files that are none or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from ifcurate.errors import InputError
from ifcurate.influence.engines.student import StudentScores
from ifcurate.influence.quantile_map import QuantileMap
from ifcurate.influence.student import Student, load_student, own_tokens, save_student
from ifcurate.model.windows import Window, collate

HASH = "0" * 64
SAID = {
    **dict.fromkeys(("direction_hash", "model_hash", "tokenizer_hash"), HASH),
    "behaviour": "toxic",
    "model": "M",
    "context": 8,
    "correlation": 0.9,
    "overlap": 0.5,
    "share": 0.02,
}
SCALE = QuantileMap((-1.0, 0.0, 1.0), (-10.0, 0.0, 100.0))


def windows(*ids: list[int]) -> list[Window]:
    return [Window(number, 0, np.array(each, np.int32)) for number, each in enumerate(ids)]


def test_each_position_reads_the_token_whose_label_it_is() -> None:
    batch = collate(windows([5, 6, 7], [8]), start=0)
    read = own_tokens(batch)
    assert read[0].tolist() == [5, 6, 7]
    assert read[1, 0] == 8
    scored = Window(0, 0, np.array([5, 6, 7], np.int32), np.array([False, False, True]))
    assert own_tokens(collate([scored], start=0))[0].tolist() == [5, 6, 7]  # context is read too


def test_influence_depends_on_the_token_and_on_what_is_before_it_alone() -> None:
    model = tiny_model("gpt2")
    weight = torch.linspace(-1, 1, 32)
    engine = StudentScores(model, [Student({"weight": weight[None], "bias": torch.zeros(1)}, SCALE, SAID)])
    first, later, other = (
        engine.score(collate(windows(ids), 0)).influence[0] for ids in ([1, 2, 3, 4], [1, 2, 3, 9], [1, 9, 3, 4])
    )
    assert torch.allclose(first[:3], later[:3], atol=1e-4) and abs(first[3] - later[3]) > 1e-3
    assert torch.allclose(first[0], other[0], atol=1e-4) and (first[1:] - other[1:]).abs().min() > 1e-4


def test_a_file_gives_back_the_student_and_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    save_student({"weight": torch.ones(1, 3), "bias": torch.zeros(1)}, SCALE, SAID, file)
    student = load_student(file)
    assert student.of(torch.tensor([[0.5, 0, 0], [0, 0, -2.0]])).tolist() == [
        50.0,
        -65.0,
    ]  # beyond the end, with the mean slope
    assert "rank correlation 0.900 with exact influence, and 50.0% of its top 2%" in student.sentence()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="damaged since"):
        load_student(file)
    file.write_bytes(b"text")
    with pytest.raises(InputError, match="cannot be read as a student"):
        load_student(file)
    with pytest.raises(InputError, match="NaN or infinite weights; lower --learning-rate"):
        save_student({"weight": torch.ones(1, 3) / 0, "bias": torch.zeros(1)}, SCALE, SAID, file)

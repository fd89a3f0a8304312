import logging

import pytest
import torch

from ifcurate import progress
from ifcurate.errors import InputError
from ifcurate.influence.curvature.eigenbasis import decompose


def covariance(size, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(3 * size, size, generator=generator)
    return rows.T @ rows


def test_every_matrix_is_put_together_from_its_eigenvectors():
    sums = {(kind, number): covariance(4 + 3 * number, number) for kind in "ab" for number in range(4)}
    found = decompose(sums, tokens=7)
    assert list(found) == list(sums)
    for key, (values, vectors) in found.items():
        assert values.dtype == vectors.dtype == torch.float32
        assert torch.allclose(vectors @ torch.diag(values) @ vectors.T, sums[key] / 7, rtol=1e-4, atol=1e-4)
        assert torch.allclose(vectors.T @ vectors, torch.eye(len(values)), atol=1e-5)
        assert torch.equal(values, values.sort().values)


def test_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    decompose({"a": covariance(5, 0)}, 1)
    assert torch.get_num_threads() == before


def test_progress_is_told_by_matrix(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "ifcurate")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    decompose({name: covariance(5, 0) for name in "abc"}, 1)
    lines = [message for message in caplog.messages if message.startswith("eigenvectors: ")]
    assert len(lines) == 3
    assert lines[-1].startswith("eigenvectors: 100.0%, 3 matrices")


def test_a_matrix_without_eigenvalues_is_refused():
    with pytest.raises(InputError, match="option --model: its curvature has no eigenvalues"):
        decompose({"a": torch.full((3, 3), torch.inf)}, 1)


def test_memory_that_no_smaller_batch_would_save_is_refused(monkeypatch):
    def greedy(matrix):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.linalg, "eigh", greedy)
    with pytest.raises(InputError, match=r"the eigenvectors of its curvature do not fit .* smaller model"):
        decompose({"a": covariance(3, 0)}, 1)

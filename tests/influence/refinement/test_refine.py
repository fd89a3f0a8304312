"""Every method against the dense matrix, solved in float64; and stopped in the middle."""

import logging
from itertools import pairwise

import pytest
import torch
from dense_systems import SMALLEST, WINDOWS, dense_system

from ifcurate.errors import InputError
from ifcurate.influence.refinement import REFINEMENTS
from ifcurate.influence.refinement import refine as module
from ifcurate.influence.refinement.astra import Astra
from ifcurate.influence.refinement.conjugate_gradient import ConjugateGradient
from ifcurate.influence.refinement.refine import refine, split_sample

CPU = torch.device("cpu")


def solve(name, system, steps, folder, identity="same"):
    return refine(name, system, steps, folder / "kept", identity, CPU)


@pytest.mark.parametrize("family", SMALLEST)
@pytest.mark.parametrize("damping", [0.1, 1.0])
def test_conjugate_gradients_reach_what_ekfac_does_not(family, damping, tmp_path):
    dense = dense_system(family, damping)
    assert dense.error(dense.system.precondition(dense.system.gradient)) > 0.05
    found = solve("cg", dense.system, 250, tmp_path)
    assert dense.error(found.solution) < 1e-3
    assert len(found.quadratics) == 251
    assert all(after <= before + 1e-12 * abs(before) for before, after in pairwise(found.quadratics))
    assert all(after < before for before, after in pairwise(found.quadratics[:15]))
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("family", SMALLEST)
def test_astra_with_the_whole_sample_as_its_batch_reaches_it_too(family, tmp_path):
    dense = dense_system(family, 1.0)
    found = solve("astra", dense.system, 600, tmp_path)
    assert dense.error(found.solution) < 1e-3
    assert found.quadratics[-1] < found.quadratics[0]


def test_astra_on_minibatches_comes_closer_than_ekfac(tmp_path):
    dense = dense_system("gpt_neox", 1.0, samples=[WINDOWS[:2], WINDOWS[2:4], WINDOWS[1:]])
    at_start = dense.error(dense.system.precondition(dense.system.gradient))
    assert dense.error(solve("astra", dense.system, 60, tmp_path).solution) < at_start


@pytest.mark.parametrize("name", REFINEMENTS)
def test_a_stopped_refinement_goes_on_to_the_same_bytes(name, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SAVES", 0)
    dense = dense_system("llama")
    expected = solve(name, dense.system, 6, tmp_path / "whole")

    class StopError(Exception):
        pass

    class Stopped(ConjugateGradient if name == "cg" else Astra):
        made = 0

        def step(self, state):
            if Stopped.made == 3:
                raise StopError
            Stopped.made += 1
            return super().step(state)

    with monkeypatch.context() as patched:
        patched.setattr(module, "load", lambda home: Stopped)
        with pytest.raises(StopError):
            solve(name, dense.system, 6, tmp_path / "stopped")
    assert (tmp_path / "stopped" / "kept").is_file()
    found = solve(name, dense.system, 6, tmp_path / "stopped")
    assert found.quadratics == expected.quadratics
    assert all(torch.equal(found.solution[layer], expected.solution[layer]) for layer in expected.solution)


@pytest.mark.parametrize("damage", ["foreign", "truncated"])
def test_a_state_that_cannot_be_gone_on_from_is_not(damage, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "ifcurate")
    dense = dense_system("llama")
    expected = solve("cg", dense.system, 2, tmp_path / "whole")
    method = ConjugateGradient(dense.system)
    kept = tmp_path / "run" / "kept"
    module.save_state(method.step(method.start()), "other" if damage == "foreign" else "same", kept)
    if damage == "truncated":
        kept.write_bytes(kept.read_bytes()[:-7])
    found = solve("cg", dense.system, 2, tmp_path / "run")
    assert "begins anew" in caplog.text
    assert found.quadratics == expected.quadratics


def test_what_does_not_converge_is_refused(tmp_path, monkeypatch):
    dense = dense_system("llama")
    monkeypatch.setattr(Astra, "_largest_eigenvalue", lambda self, vector: 1e-8)
    with pytest.raises(InputError, match=r"option --refine: does not converge, .* raise --refine-damping"):
        solve("astra", dense.system, 60, tmp_path)


def test_a_quadratic_that_grows_is_refused_before_it_overflows(tmp_path, monkeypatch):
    dense = dense_system("llama")
    real = Astra._largest_eigenvalue
    monkeypatch.setattr(Astra, "_largest_eigenvalue", lambda self, vector: real(self, vector) / 40)
    with pytest.raises(InputError, match=r"its quadratic is \d.* at step \d+; raise --refine-damping"):
        solve("astra", dense.system, 60, tmp_path)


def test_every_step_says_its_quadratic(tmp_path, caplog):
    caplog.set_level(logging.INFO, "ifcurate")
    found = solve("cg", dense_system("llama").system, 3, tmp_path)
    assert f"refine (cg): step 3 of 3, quadratic {found.quadratics[-1]:.6g}" in caplog.messages


def test_samples_are_cut_without_loss():
    groups = split_sample(WINDOWS, 10)
    assert [window for group in groups for window in group] == WINDOWS
    assert [sum(len(window) for window in group) for group in groups] == [15, 10]
    assert split_sample(WINDOWS, 100) == [WINDOWS]

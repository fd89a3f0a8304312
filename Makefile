# On a fresh machine with python3 (3.10 to 3.13) and make: `make demo`, `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV)/bin)
INSTALLED := $(VENV)/.installed
TYPED := build/typed

.DELETE_ON_ERROR:
.PHONY: demo demo-real pictures test test-browser test-faults test-models test-cluster test-exports mutants quick test-lowest bench-gpu lint types clean

demo: $(INSTALLED)
	$(BIN)/ifcurate demo --out demo

# The same with real weights, SmolLM2-135M: an hour on two cores. TEXT: files to take ordinary text from.
demo-real: $(INSTALLED)
	PATH="$(BIN):$$PATH" examples/smollm2/run.sh demo-real $(TEXT)

# All tests, in as many processes as there are cores, each with one thread.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal

# Kills, full disks and damaged files by the dozen, see docs/faults.md; the short form is part of `make test`.
test-faults: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/faults -m "faults or not faults" --numprocesses auto --dist worksteal

# The report in headless Chromium: apt-get install chromium chromium-driver.
test-browser: $(INSTALLED)
	$(BIN)/pytest -m browser tests/report/test_browser.py

# The pictures of the README, of the demo's run, in the same browser.
pictures: demo
	$(BIN)/python docs/pictures.py demo/run docs

# Exports with the readers that need an environment of their own: one each below .venv-exports; needs uv, which also
# takes UV_TORCH_BACKEND=cpu. EXPORTS_TORCH pins torch in them, as in EXPORTS_TORCH=torch==2.13.0.
EXPORT_READERS := mosaicml-streaming megatron-core ai2-olmo-core
EXPORTS := .venv-exports
EXPORTS_TORCH ?= torch
EXPORT_TESTS := tests/test_integrations.py tests/pipelines/test_export.py tests/pipelines/test_export_verify.py

test-exports: $(EXPORT_READERS:%=$(EXPORTS)/%/.installed) $(EXPORTS)/dolma/.installed $(INSTALLED)
	for reader in $(EXPORT_READERS); do \
		OMP_NUM_THREADS=1 $(EXPORTS)/$$reader/bin/python -m pytest $(EXPORT_TESTS) -r s || exit 1; \
	done
	DOLMA=$(CURDIR)/$(EXPORTS)/dolma/bin/dolma $(BIN)/pytest tests/test_integrations.py -k dolma

$(EXPORTS)/dolma/.installed:
	uv venv --quiet --allow-existing --python $(PYTHON) $(@D)
	uv pip install --quiet --no-config --python $(@D)/bin/python dolma
	@touch $@

# MosaicML's package imports torchvision, which pyproject.toml leaves out.
$(EXPORTS)/%/.installed: pyproject.toml
	uv venv --quiet --allow-existing --python $(PYTHON) $(@D)
	uv pip install --quiet $(if $(filter mosaicml%,$*),--no-config) --python $(@D)/bin/python --editable . $* '$(EXPORTS_TORCH)' pytest hypothesis
	@touch $@

# The table of architectures in docs/models.md and the shapes of models from annotation through export, all of them; a
# part is in `make test`.
test-models: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/model/test_architectures.py tests/pipelines/test_models.py -m models --numprocesses auto

# Runs on a Slurm of one node and on a Ray of two, which the tests start. Slurm needs root and apt-get install slurm-wlm
# munge, Ray the extra `ray`; it tries to install both.
test-cluster: $(INSTALLED)
	command -v slurmctld > /dev/null || apt-get install --yes --no-install-recommends slurm-wlm munge || true
	$(BIN)/python -c "import ray" 2> /dev/null || $(BIN)/python -m pip install --quiet --editable '.[ray]' || true
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/cluster -m cluster -r s

# Those that take seconds.
quick: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist worksteal -m "not slow and not faults and not models and not cluster"

# Single mistakes in the code, one at a time, and whether a test notices: about half an hour.
mutants: $(INSTALLED)
	$(BIN)/python tests/mutants/run.py

# All tests with the lowest versions that pyproject.toml declares; needs uv, which finds them.
test-lowest:
	uv venv --quiet --allow-existing --python $(PYTHON) .venv-lowest
	uv pip install --python .venv-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest --numprocesses auto --dist worksteal

# Scoring against Kronfluence's on all shapes, then the tests that need a GPU.
bench-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu_scoring.py
	$(BIN)/pytest tests/test_gpu.py

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# `ifcurate.cli` and `ifcurate.pipelines` have their place only in the installed package, so that is what mypy reads.
types: $(INSTALLED)
	rm -rf build
	$(BIN)/python -m build --quiet --wheel --no-isolation --outdir $(TYPED)
	cd $(TYPED) && $(BIN)/python -m zipfile -e *.whl . \
		&& $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p ifcurate

clean:
	rm -rf $(VENV) .venv-lowest .venv-exports build dist demo demo-real *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml
	@if command -v uv > /dev/null; then \
		uv venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV) \
			&& uv pip install --python $(BIN)/python --editable '.[dev]'; \
	else \
		$(PYTHON) -m venv $(VENV) \
			&& $(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'; \
	fi
	@touch $@

# make demo        train for a few minutes, export, fill a photo's hole with each runtime; prints the picture's path
# make test        all tests that fit a quarter of an hour; test-quick, test-long: the quick ones, the long ones
# make test-lower-bounds  the quick tests with the lowest versions that setup.py allows, in an environment of their own
# make test-cluster  the tests that start Ray, which it installs
# make lint        ruff and mypy
# make benchmark   how fast each runtime and a training step is here, beside PyTorch: folder benchmark/
# make docs        the documentation site, with the API reference from the docstrings: folder site/
# make wheel       dist/*.whl: the package, and the weights to fine-tune
# make release     lint, test, and the files of a release in dist/, each checked and used in fresh environments
# Each makes the environment .venv first, once. PYTHON names the interpreter, at least Python 3.11.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
LOWEST := .venv-lowest
RUN := runs/demo-$(shell date -u +%Y%m%dT%H%M%SZ)
SAMPLES := training/sample_photos
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-quick test-long test-cluster test-lower-bounds lint wheel docs benchmark release
.DELETE_ON_ERROR:

$(INSTALLED): setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("shiftnet_tf needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python training/train.py training/configs/demo.toml --run-dir $(RUN)
	$(BIN)/python export/export_saved_model.py $(RUN) --shift-map
	$(BIN)/python export/export_onnx.py $(RUN) --shift-map
	$(BIN)/python export/export_tflite.py $(RUN) --shift-map
	@$(BIN)/python export/compare_runtimes.py $(RUN)/export $(SAMPLES)/test/gc_farm_sheep.jpg \
		--mask training/sample_masks/gc_farm_sheep.png --out $(RUN)/demo.png

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) -m "not long and not cluster"

test-quick: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) -m "not long and not slow and not cluster"

test-long: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,bench,long-tests]"
	$(BIN)/python -m pytest -m "long and not cluster"

test-cluster: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,cluster,s3]" "moto[server]>=5"
	$(BIN)/python -m pytest -m cluster

# What the requirements of setup.py require in turn is installed in its newest version that they allow.
$(LOWEST)/installed: setup.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable ".[dev]"
	@touch $@

test-lower-bounds: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest $(PARALLEL) -m "not long and not slow and not cluster"

benchmark: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,bench]"
	@mkdir -p benchmark
	$(BIN)/python benchmarks/runtimes.py --json benchmark/runtimes.json --picture benchmark/runtimes.png
	$(BIN)/python benchmarks/training.py --json benchmark/training.json

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean

wheel: $(INSTALLED)
	rm -rf build
	$(BIN)/python -m build --wheel
	$(BIN)/python -m build --wheel --outdir dist saved_models
	rm -rf saved_models/build saved_models/*.egg-info

release: $(INSTALLED)
	@git diff --quiet HEAD && test -z "$$(git ls-files --others --exclude-standard)" || \
		{ echo "there are uncommitted changes: commit or stash them"; exit 1; }
	$(MAKE) lint test
	rm -rf dist
	$(MAKE) wheel
	$(BIN)/python -m build --sdist
	$(BIN)/python -m pip install --quiet --constraint constraints.txt twine check-wheel-contents uv
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/shiftnet_tf-*.whl
	$(BIN)/python tests/release.py dist

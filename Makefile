# make env | ablation | report | test | lint | hooks | docs: everything runs in .venv, on Python 3.11 or 3.12, with pip.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
NOTEBOOK ?= notebooks/ablation.ipynb
ARGS ?=
# torch's worker threads would spin between kernels and slow down the rasteriser's
export OMP_WAIT_POLICY := PASSIVE

.PHONY: env ablation report test lint hooks docs lock
env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@echo "Making the environment in .venv (a few minutes, once)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv==0.13.9
	$(BIN)/uv pip install -p $(BIN)/python $(FIND_LINKS) -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation --upgrade --target .venv/share/ilrm -r requirements-data.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@

ablation: $(STAMP)
	$(BIN)/papermill $(NOTEBOOK) --log-output --no-progress-bar $(ARGS)

# tables, figures and the scorecard from the records; make report ARGS=--check fails if any of them is stale
report: $(STAMP)
	$(BIN)/python -m reports $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -q -rs -n auto --maxprocesses 4 --dist loadfile --durations 15 $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy ilrm ablations reports benchmarks
	$(BIN)/lint-imports --no-logo

# Checks before each commit, and a Git filter that ignores the outputs of notebooks.
hooks: $(STAMP)
	$(BIN)/uv pip install -p $(BIN)/python $(FIND_LINKS) -q pre-commit==4.7.0
	git config filter.nbstripout.clean "bash scripts/hooks/strip_notebooks.sh"
	$(BIN)/pre-commit install

# The documentation as a site, in an environment of its own: the API reference is read from the sources, so neither
# torch nor this package has to be installed. Broken links fail.
DOCS := .venv-docs
DOCS_EXTRA := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])

docs: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict $(ARGS)

$(DOCS)/.installed: pyproject.toml
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	wanted=$$($(DOCS)/bin/python -c '$(DOCS_EXTRA)') && $(DOCS)/bin/python -m pip install -q $$wanted
	touch $@

# Resolve again. torch installs its own CUDA packages where there is CUDA: they are not pinned here.
lock: $(STAMP)
	$(BIN)/uv pip compile $(FIND_LINKS) --universal --python-version 3.11 --extra dev --no-header \
		--no-annotate pyproject.toml | grep -viE '^(nvidia-|cuda-|triton)' > requirements.lock.new
	mv requirements.lock.new requirements.lock

# uv does not read pip's configuration: pass it the local wheel folders named there
PIP_LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)
FIND_LINKS := $(foreach folder,$(PIP_LINKS) $(PIP_FIND_LINKS),--find-links $(folder))

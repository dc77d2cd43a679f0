# Each target does its own set-up in .venv; the second run starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install demo browser test test-slow test-gpu test-network check protocols fmt bench bench-gpu clean

help:
	@echo "make install       put genmetrics into $(VENV)"
	@echo "make demo          the main job on real pictures, with nothing to download"
	@echo "make browser       a browser for the tests that open the page of 'genmetrics report'; they skip without one"
	@echo "make test          all tests that run on a CPU without a network"
	@echo "make test-slow | test-gpu | test-network   the others"
	@echo "make check         formatting, lint, types, layers, changelog, generated pages"
	@echo "make protocols     write docs/protocols.md from the registries"
	@echo "make fmt           format and mend what can be mended"
	@echo "make bench         benchmarks, with their results under benchmarks/results and in docs/benchmarks.md"
	@echo "make bench-gpu     those that need a CUDA device"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "genmetrics needs Python 3.10 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of packages; a change of what is required installs again.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt -e '.[dev,peers]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(PIP) install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/genmetrics demo -o demo-output

# The names of tests/support/browser.py. Without one and without the right to install it, a person is told what to do.
browser:
	@set -e; \
	for name in $$GENMETRICS_BROWSER chromium chromium-browser google-chrome; do \
		if command -v "$$name" >/dev/null; then echo "browser: $$name"; exit 0; fi; \
	done; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else \
		echo "no browser: install Chromium (on Debian 'sudo apt-get install chromium'), or name one with GENMETRICS_BROWSER"; \
	fi

# A process a core with one thread each: most tests are too small for two threads to share. A file's tests share fixtures.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --run-slow -m slow

test-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --run-gpu -m gpu

test-network: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --run-network -m network

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_changelog.py
	$(BIN)/python tools/make_protocols.py --check
	$(BIN)/python benchmarks/make_table.py --check
	$(BIN)/python benchmarks/scale_page.py --check
	$(BIN)/python tools/error_bars_page.py --check

protocols: $(VENV)/.installed
	$(BIN)/python tools/make_protocols.py

fmt: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The scripts in the order of the page; each fails loudly, and the table is made of what they wrote.
BENCHMARKS := startup decode resize network frechet error_bars kernel neighbours whole_command allocator memory_of_fid streaming_npz precision scaling capacity large_bank diagnostics

bench: $(VENV)/.installed-bench
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/make_table.py
	$(BIN)/python benchmarks/scale_page.py

bench-gpu: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/gpu.py
	$(BIN)/python benchmarks/make_table.py

clean:
	rm -rf $(VENV) demo-output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# The whole ritual. `make` alone says what there is. Every target sets up by itself on a fresh clone.

PYTHON ?= python3
# More words for pip, for example an index that holds PyTorch for your graphics card: see docs/guide/install.md.
PIP_FLAGS ?=
# How many processes run the tests.
WORKERS ?= 2
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check fix bench docs pins clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv with Maquette and the tools of its developers

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Maquette needs Python 3.11 or newer; give one with: make install PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { echo "Python has no venv here; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)
	@echo "Maquette is at $(BIN)/maquette"

demo: $(STAMP) ## the whole journey on the built-in starter dataset, in a few minutes
	$(BIN)/maquette demo

test: $(STAMP) ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(STAMP) ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(STAMP) ## repair style, and make again what is generated from the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m maquette.operations.schemas
	$(BIN)/python docs/build.py reference

bench: $(STAMP) ## measure what is promised (one only: make bench only=start)
	@set -e; for file in benchmarks/$(or $(only),*).py; do echo "== $$file"; $(BIN)/python "$$file"; done

docs: $(STAMP) ## make the reference and the pages in site/, and check every link
	$(BIN)/python docs/build.py

pins: $(STAMP) ## write the installed versions into constraints.txt
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -v '^#' | sed 's/+[a-z0-9.]*$$//'; } > .constraints.partial
	@mv .constraints.partial constraints.txt

clean: ## remove what was made here: .venv, caches, site
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache site

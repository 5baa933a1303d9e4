# datalab: `make demo` for a whole labeling round, `make test` for every test. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3.11
LOCKING = --quiet --no-header --no-emit-index-url --python-version 3.11
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
LS_VENV := .venv-label-studio
export PATH := $(BIN):$(PATH)
# the installer prints its own progress; a lock change reinstalls, or an environment that is gone or was moved, nothing
# else does; bytecode is made here, once and on every core: where Python may not write it (PYTHONDONTWRITEBYTECODE),
# each command would compile torch anew
SETUP_DONE := $(VENV)/.setup-done
# an environment's programs name its folder: one that was made for another folder, or not to its end, is made anew
made_for = . $(1)/bin/activate 2>/dev/null && echo "$$VIRTUAL_ENV"
FOUND := $(shell $(call made_for,$(VENV)); $(call made_for,$(LS_VENV)); ls $(LS_VENV)/bin/label-studio 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status test test-quick check format lock bench

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(SETUP_DONE) ## both environments, from the compiled locks

ifneq "$(FOUND)" "$(CURDIR)/$(VENV) $(CURDIR)/$(LS_VENV) $(LS_VENV)/bin/label-studio"
.PHONY: again
$(SETUP_DONE): again
endif
$(SETUP_DONE): requirements.txt requirements-label-studio.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or run make PYTHON=/path/to/python3.11"; exit 1; }
	@rm -f $@
	@for venv in $(LS_VENV) $(VENV); do \
	  test "$$($(call made_for,$$venv))" = "$(CURDIR)/$$venv" || { rm -rf $$venv && $(PYTHON) -m venv $$venv; } || exit 1; done
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	"$(BIN)/uv" pip sync --compile-bytecode --python "$(BIN)/python" requirements.txt
	"$(BIN)/uv" pip install --quiet --python "$(BIN)/python" --no-deps --editable .
	"$(BIN)/uv" pip sync --compile-bytecode --python $(LS_VENV)/bin/python requirements-label-studio.txt
	@touch $@

demo: setup ## one labeling round: make demo [IMAGES=folder MASKS=folder] [CLASSES=classes.yaml] [ANNOTATORS=people]
	@"$(BIN)/python" flows/demo.py $(if $(IMAGES),--images "$(IMAGES)") $(if $(MASKS),--masks "$(MASKS)") \
	  $(if $(CLASSES),--classes "$(CLASSES)") $(if $(ANNOTATORS),--annotators "$(ANNOTATORS)")

up: setup ## start Label Studio, Prefect, MongoDB, FiftyOne, click-to-mask and the webhook receiver on this machine
	@datalab up

down: setup ## stop what `make up` or `make demo` started
	@datalab down

status: setup ## which servers run, and where
	@datalab status

check: setup ## ruff and mypy
	ruff check src flows tests benchmarks train
	ruff format --check src flows tests benchmarks train
	mypy

test: setup browser ## every test, with the real servers: those in one process, which often waits, the others beside it
	OMP_NUM_THREADS=1 pytest -n auto --maxprocesses 4 --dist loadgroup

test-quick: setup ## under two minutes: no servers, nothing slow
	OMP_NUM_THREADS=1 pytest -q --hypothesis-profile=quick -n auto --maxprocesses 4 -m "not services and not slow"

bench: setup ## one benchmark, one JSON line: make bench NAME=brush_rle
	@test -n "$(NAME)" || { echo "say which: make bench NAME=x; known: $$(cd benchmarks && ls *.py | grep -v measure | sed 's/\.py//' | xargs)"; exit 1; }
	@test -f benchmarks/$(NAME).py || { echo "benchmarks/$(NAME).py does not exist; known: $$(cd benchmarks && ls *.py | grep -v measure | sed 's/\.py//' | xargs)"; exit 1; }
	@"$(BIN)/python" benchmarks/$(NAME).py

format: setup ## put the code in its form
	ruff check --fix src flows tests benchmarks train
	ruff format src flows tests benchmarks train

lock: setup ## compile the locks anew from pyproject.toml, for the oldest Python of those that are promised
	uv pip compile $(LOCKING) --extra dev pyproject.toml -o requirements.txt
	uv pip compile $(LOCKING) requirements-label-studio.in -o requirements-label-studio.txt

.PHONY: browser
browser:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium for the browser tests"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	  else echo "chromium is missing: the browser tests will be skipped (apt-get install chromium)"; fi; }

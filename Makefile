# `make demo` and `make test` each work alone on a fresh clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
# Beside the other outputs of the compiler, which a fresh clone with a kept $(VENV) lacks as well.
NATIVE := build/.native
SOURCES := setup.py $(wildcard */*.cpp */*.hpp */*/*.cpp */*/*.hpp)

# hnswlib compiles for the building machine's own processor unless told otherwise; a build that
# is cached and used on another machine would then crash. AVX2 is asked for only where it is.
NATIVE_FREE := HNSWLIB_NO_NATIVE=1
ifneq ($(shell grep -m1 -o avx2 /proc/cpuinfo 2>/dev/null),)
NATIVE_FREE += CFLAGS="$(CFLAGS) -march=x86-64-v3"
endif

.PHONY: help setup native demo test test-kafka test-browser chaos lint format bench lock clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) $(NATIVE)  ## the virtual environment with routec in it, and the embedding model

$(STAMP): requirements/dev.txt pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "routec needs Python 3.11 or newer; name one with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "this Python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' \
	  || { echo "the headers of this Python are missing: apt-get install python3-dev" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(NATIVE_FREE) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m routec.safety.models install minilm
	@touch $@

native: $(NATIVE)  ## the compiled modules, those whose sources changed

$(NATIVE): $(STAMP) $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

demo: setup  ## sample traffic through the embedded broker, with a live table
	$(BIN)/routec demo

test: setup  ## everything that needs neither Apache Kafka nor a browser
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 -m "not kafka and not browser"

test-kafka: setup  ## the worker on Apache Kafka, fetched and started here (needs Java 17 and Maven)
	$(BIN)/pytest -m kafka tests/kafka

SEEDS ?= 200
FROM ?= 0
chaos: setup  ## workers on Apache Kafka under fire, SEEDS=200 of them (some ten minutes); AGAIN=1 runs all of them again
	$(BIN)/python -m tests.kafka.chaos --seeds $(SEEDS) --from $(FROM) --page docs/reliability.md $(if $(AGAIN),--again)

test-browser: setup  ## the page of `routec graph` in Chromium (apt-get install chromium chromium-driver)
	$(BIN)/pytest -m browser tests/browser

lint: setup  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p build/types && ln -sfn ../.. build/types/routec
	MYPYPATH=build/types $(BIN)/mypy --strict -p routec.dsl -p routec.compiler -p routec.safety -p routec.semcache -p routec.runtime -p routec.cli
	$(BIN)/lint-imports

format: setup  ## settle the layout of the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## every benchmark but that of memory, as tables (some half an hour)
	$(BIN)/routec bench
	@set -e; for script in $(filter-out benchmarks/soak.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script; done

lock: setup  ## bring the locked versions up to date
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --universal --generate-hashes \
	  --upgrade --quiet --custom-compile-command "make lock" -o requirements/dev.txt

clean:  ## remove what was built here (not the model cache)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find dsl compiler safety semcache runtime cli -name '*.so' -delete

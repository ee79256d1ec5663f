# Two commands set up everything that they need, and then do it:
#
#   make demo        the whole road with a shipped network: quantize, run in Lava, verify, compare
#   make test        the tests
#   make lint        ruff, pyright, and TOML files: what pre-commit runs too
#   make benchmark   the simulators side by side (needs torch and Lava); BENCHMARK=--quick
#   make fuzz        a million damaged files into every reader; FUZZ="--inputs 20000"
#   make wheel       source archive and a wheel for this machine in dist/
#   make wheels      what is published: manylinux wheels for x86-64 and Arm, by zig; see docs/install.md
#   make versions    the lowest and the highest versions of every dependency
#   make docs        the documents as a site, build/docs/index.html; no network is needed
#   make setup       only the environment
#   make clean       removes the environments and everything that was built
#
#   PYTHON=python3.12   interpreter, 3.10 to 3.13; default: the first that runs
#   TORCH=no            leaves out PyTorch and ncps; default: a CPU build where pip finds one
#   VENV=.venv          where the environment is
#   TESTS=tests/x.py    which tests;  JOBS=2  in how many processes

VENV ?= .venv
TORCH ?= auto
TESTS ?=
JOBS ?= 2

OTHERS = python3 python3.12 python3.11 python3.10 python3.13 \
	$(wildcard $(HOME)/.pyenv/versions/3.1[0-3].*/bin/python3)
# A command may exist and not run (pyenv), or lack ensurepip (Debian without python3-venv).
RUNS = import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
SETUP = .ci/setup_environment.py --venv "$(VENV)" --torch "$(TORCH)" $(if $(PYTHON),--exactly)
# $(call set_up,extras): makes or reuses the environment.
define set_up
@for python in $(or $(PYTHON),$(OTHERS)); do \
	"$$python" -c '$(RUNS)' 2>/dev/null && exec "$$python" $(SETUP) --extras "$(1)"; \
done; \
echo "No Python 3.10 to 3.13 that has its venv module; tried: $(or $(PYTHON),$(OTHERS))" >&2; \
echo "On Debian or Ubuntu: apt-get install python3 python3-venv (for python3.12:" \
	"python3.12-venv); or choose another one: make PYTHON=/path/to/python3" >&2; \
exit 1
endef
# $(call run_script,script and arguments): in the same Python, which needs nothing installed.
define run_script
@for python in $(or $(PYTHON),$(OTHERS)); do \
	"$$python" -c '$(RUNS)' 2>/dev/null && exec "$$python" $(1); \
done; \
echo "No Python 3.10 to 3.13 that has its venv module; tried: $(or $(PYTHON),$(OTHERS))" >&2; exit 1
endef

.PHONY: help docs setup setup-dev demo test test-quick benchmark fuzz lint wheel wheels versions clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup:
	$(call set_up,test onnx hdf5)

setup-dev:
	$(call set_up,test dev)

demo: setup
	$(VENV)/bin/lnn2loihi demo

test: setup
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS)

test-quick: setup
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadgroup -m "not slow" $(TESTS)

benchmark:
	$(call set_up,test onnx hdf5)
	$(VENV)/bin/python benchmarks/simulate.py $(BENCHMARK)

fuzz:
	$(call set_up,test onnx hdf5)
	$(VENV)/bin/python tests/fuzzing/hunt.py --inputs 1000000 --processes $(JOBS) $(FUZZ)

docs:
	$(call set_up,docs)
	$(VENV)/bin/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs build/docs
	@echo "The site is at build/docs/index.html"

lint: setup-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/python .ci/check_toml.py

wheel:
	$(call run_script,.ci/build_wheels.py --here)

wheels:
	$(call run_script,.ci/build_wheels.py)

versions:
	$(call run_script,.ci/versions.py)

clean:
	rm -rf .venv .venv310 .venv-wheels build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Needs Python 3.11 or later, pip and make; everything else goes into .venv.
PYTHON ?= python3
JAX := jax==0.10.2

# The caller's Python settings must not affect the environments created here.
unexport PYTHONPATH PYTHONHOME PYTHONWARNINGS PIP_USER PIP_TARGET PIP_PREFIX

pytest = .venv/bin/python -m pytest -n 2 --dist worksteal
# With CI set, the tests on SLURM have one to run on.
slurm = @$(if $(CI),command -v slurmctld || apt-get install -y --no-install-recommends slurm-wlm || echo 'tests on SLURM are skipped',:) >/dev/null 2>&1
# And a browser, in which reports are tested.
chromium = @$(if $(CI),command -v chromium || apt-get install -y --no-install-recommends chromium || echo 'tests in a browser are skipped',:) >/dev/null 2>&1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow coverage lint format bench lower-bounds docs docs-serve clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## train the quickstart, small data against large, and print the path of the figure
	@touch .venv/.demo-started
	.venv/bin/svl fit --config configs/quickstart.yaml
	@find runs -path '*/wandb' -prune -o -path '*/figures/*.png' -newer .venv/.demo-started -print | sed 's/^/figure: /' | grep . \
		|| { echo 'demo: no figure under runs/' >&2; exit 1; }

test: .venv/.installed ## run the fast tests, in a few minutes
	$(slurm)
	$(chromium)
	$(pytest) -m "not slow" --durations=10

test-slow: .venv/.installed ## run the other tests: fits that are killed, compiled steps, every figure at its smallest scale
	$(slurm)
	$(chromium)
	$(pytest) -m slow --durations=25

coverage: .venv/.installed ## run the tests and measure their coverage, which takes longer
	$(pytest) --cov --cov-report=term --cov-fail-under=90

lint: .venv/.installed ## check style, formatting and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/.installed ## format the code and apply the safe fixes
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: .venv/.installed .venv-bench/.installed ## compare the speed with a plain PyTorch loop and JAX, and measure how it scales
	.venv/bin/python -m svl.bench

lower-bounds: .venv-lower/.installed ## run the fast tests with the oldest versions that pyproject.toml allows
	.venv-lower/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

docs: .venv/.installed-docs ## build the documentation as a site that needs no network, with warnings as errors
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --config-file docs/website/mkdocs.yml
	@echo 'site: site/index.html'

docs-serve: .venv/.installed-docs ## show the site at localhost:8000 and build it again at each change, without running the tutorial
	NO_MKDOCS_2_WARNING=1 SVL_DOCS_EXECUTE=false .venv/bin/mkdocs serve --config-file docs/website/mkdocs.yml

clean: ## remove build products and caches; keep .venv and runs
	rm -rf build dist site htmlcov .coverage .coverage.* coverage.xml .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find svl callbacks tests -type d -name __pycache__ -prune -exec rm -rf {} +

# $(call environment,DIR): an environment with a working pip; one that was interrupted while it was created is created again.
define environment
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "svl needs Python 3.11 or later, and $(PYTHON) is $$("$(PYTHON)" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing): try 'make $(MAKECMDGOALS) PYTHON=python3.12'" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(1)
	@echo '*' > $(1)/.gitignore
endef

# mup, the reference for muP in the tests, requires torchvision and seaborn, which the tests do not need.
.venv/.installed: pyproject.toml constraints.txt
	$(call environment,.venv)
	.venv/bin/python -m pip install -c constraints.txt -e '.[dev]'
	.venv/bin/python -m pip install -c constraints.txt --no-deps mup
	@touch $@

# LOWER=torch==2.13.0 takes that version in place of the lower bound.
.venv-lower/.installed: pyproject.toml tests/packaging/lower_bounds.py
	$(call environment,.venv-lower)
	.venv-lower/bin/python tests/packaging/lower_bounds.py $(LOWER) > .venv-lower/lower.txt
	.venv-lower/bin/python -m pip install -c .venv-lower/lower.txt -e '.[dev]'
	.venv-lower/bin/python -m pip install -c .venv-lower/lower.txt --no-deps mup==1.0.0
	@touch $@

.venv/.installed-docs: .venv/.installed
	.venv/bin/python -m pip install -c constraints.txt -e '.[docs]'
	@touch $@

.venv-bench/.installed: constraints.txt Makefile
	$(call environment,.venv-bench)
	.venv-bench/bin/python -m pip install -c constraints.txt '$(JAX)'
	@touch $@

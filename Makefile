# `make` lists the tasks. The two that set everything up by themselves: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help binder demo test lint types runtimes kernels unit js browser notebooks executed matrix bench watching screenshots golden weights chromium install clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# A build for the CPU, where the index has one; elsewhere: TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
NOTEBOOK ?= notebooks/01_first_run.ipynb
export JUPYTER_PLATFORM_DIRS = 1

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | column -t -s "$$(printf '\t')"

demo: install weights ## the first notebook, on a model in this process: opens JupyterLab (HEADLESS=1: makes an HTML page)
ifdef HEADLESS
	@mkdir -p demo-output
	$(BIN)/jupyter nbconvert --execute --to html --output-dir demo-output $(NOTEBOOK)
	@echo "Look at demo-output/$(basename $(notdir $(NOTEBOOK))).html"
else
	$(BIN)/jupyter lab $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser) \
		$(if $(filter 0,$(shell id -u)),--allow-root) $(NOTEBOOK)
endif

test: install lint types unit js weights notebooks chromium browser ## everything that CI runs

lint: install ## style, and imports that point down
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: install ## mypy --strict
	$(BIN)/mypy

unit: install runtimes kernels ## everything without a page: layers, loopback servers, real kernels
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not browser and not slow"

notebooks: install weights ## every notebook, executed and compared with what is stored in it
	$(BIN)/python -m pytest --nbval -n $(WORKERS) notebooks/

executed: install weights ## the notebooks as they run now: executed, and what they show stored (N=notebooks/05*.ipynb: some)
	$(BIN)/python tests/support/executed.py $(or $(N),$(wildcard notebooks/*.ipynb))

binder: install ## what Binder does, in a clean environment: a minute or more, and the network
	$(BIN)/python -m pytest -m slow tests/test_binder.py

js: ## the page's side: tsc over its types, node's own test runner (needs node and npm; using the package needs neither)
	@if command -v npm >/dev/null; then \
		{ [ node_modules/.installed -nt package.json ] || { npm install --silent && touch node_modules/.installed; }; } && \
		npm run --silent check && npm test --silent; \
	else \
		echo "make: node and npm are not here: types and tests of the panel's page side were NOT run ('apt-get install npm')." >&2; \
	fi

browser: install kernels chromium ## real JupyterLab and Notebook 7 pages in headless Chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --reruns 2 -m browser

matrix: install chromium ## the table of docs/front_ends.md, from the tests
	@rm -f .matrix.jsonl
	MATRIX_REPORT=$(CURDIR)/.matrix.jsonl $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/browser/test_matrix.py
	$(BIN)/python tests/support/matrix.py .matrix.jsonl

bench: install ## the figures, side by side with peers, each in an environment of its own where it needs one: ten minutes
	$(BIN)/python benchmarks --out docs/benchmarks --readme README.md

watching: install chromium ## what it costs a page to watch a run: the panel beside widgets, update_display and rich.live
	$(BIN)/python benchmarks/watching.py --out docs/benchmarks

screenshots: install chromium ## the README's pictures, taken anew
	$(BIN)/python tests/support/screenshots.py docs/screenshots

golden: install ## accept how saved runs and cards look now: tests/notebook/golden/ is written anew, and `git diff` shows what changed
	PYTHONPATH=tests $(BIN)/python tests/support/specimens.py

weights: install ## the local model's weights, once, checked by their hash
	@$(BIN)/python -m llm_gateway_nb.providers.weights || \
		echo "make: the local model's weights could not be had; what needs them is left out, and says so." >&2

chromium: ## Debian's Chromium, if there is none
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || [ -n "$$CHROMIUM" ] || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
		else \
			echo "make: no Chromium here, and no right to install it: 'sudo apt-get install chromium', or set CHROMIUM=/path/to/one." >&2; \
			exit 1; \
		fi; }

runtimes: $(VENV)/.runtimes ## torch and MLX for the tests of `huggingface` and `mlx`: a minute, 1.2 GB

$(VENV)/.runtimes: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[huggingface,mlx]' || \
		echo "make: transformers or MLX can't be installed here; their tests are left out, and say so." >&2
	@touch $@

kernels: install ## an environment for each ipykernel that the tests run on: a minute or two, once; no test waits for it then
	$(BIN)/python tests/support/kernels.py

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or later is needed; set PYTHON=.")'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,test]'
	@$(BIN)/python -c 'import xllamacpp' 2>/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq libgomp1 >/dev/null; \
		else echo "make: the local model needs libgomp: 'sudo apt-get install libgomp1'." >&2; fi; }
	@touch $@

clean: ## remove what was made here
	rm -rf $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output

# Two commands do everything on a fresh machine with Python 3.11+ and make:  make demo  ·  make test
PYTHON ?= python3
VENV   := .venv
SAM    := .venv-sam
RUN    := $(VENV)/bin/
UV     := $(VENV)/bin/uv
# Trust what the machine trusts, as pip and the browser do.
export UV_SYSTEM_CERTS := true

# What functions run on is said once, in the template.
RUNTIME := $(shell sed -n 's/^ *Runtime: python//p' template.yaml | head -n 1)

.PHONY: demo test browser check sim bench soak install lock format clean bundles sam deploy

demo: install            ## run the main job end to end on the embedded local cloud
	$(RUN)longshore demo

test: install $(SAM)/.done browser  ## every test, the template gates included
	$(RUN)pytest -n 2 --dist loadfile

check: install           ## format, lint, types, layers, shape, what the docs show
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports --no-cache
	$(RUN)pytest tests/test_shape.py tests/unit/test_template_rules.py tests/unit/test_docs.py

sim: install             ## live through 2,000 worlds of bad weather; make sim SEED=7 tells the story of one
	$(RUN)python -m tests.simulation $(SEED)

bench: install           ## what a job costs: requests, write units, CPU, memory, imports
	$(RUN)python -m tests.bench

soak: install            ## thousands of jobs on real processes, killed at random: SECONDS=300 SEED=…
	$(RUN)python -m tests.soak

install: $(VENV)/.done

$(VENV)/.done: requirements/dev.lock pyproject.toml
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(UV) pip sync --quiet --python $(RUN)python --require-hashes requirements/dev.lock
	$(UV) pip install --quiet --python $(RUN)python --no-deps --editable .
	touch $@

browser:                 # Chromium for the dashboard's tests, where apt-get may install it; without it they are skipped
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		{ apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium; } >/dev/null 2>&1; } || \
		echo "no Chromium here: the dashboard's tests are skipped"

sam: $(SAM)/.done         ## the pinned SAM CLI, in a virtual environment of its own

$(SAM)/.done: requirements/sam.lock $(VENV)/.done
	$(PYTHON) -m venv $(SAM)
	$(UV) pip sync --quiet --python $(SAM)/bin/python --require-hashes requirements/sam.lock
	touch $@

lock:                    ## resolve the pins again
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links \
		--extra databases --extra issues --extra media --extra recipes --extra reports --extra training --extra local --extra cli --group dev pyproject.toml -o requirements/dev.lock
	$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links \
		requirements/sam.in -o requirements/sam.lock
	$(LOCK_BUNDLE) pyproject.toml -o requirements/core/requirements.txt
	$(LOCK_BUNDLE) --extra databases pyproject.toml -o requirements/databases/requirements.txt
	$(LOCK_BUNDLE) --extra issues pyproject.toml -o requirements/issues/requirements.txt
	$(LOCK_BUNDLE) --extra media pyproject.toml -o requirements/media/requirements.txt
	$(LOCK_BUNDLE) --extra databases --extra reports pyproject.toml -o requirements/reports/requirements.txt
	$(LOCK_BUNDLE) --extra recipes pyproject.toml -o requirements/recipes/requirements.txt
	$(LOCK_BUNDLE) --extra training pyproject.toml -o requirements/training/requirements.txt

# What is shipped is what was tested: the versions of dev.lock, in wheels for Lambda.
LOCK_BUNDLE = $(UV) pip compile --quiet --generate-hashes --python-version $(RUNTIME) --python-platform aarch64-manylinux_2_28 \
	--only-binary :all: --constraint requirements/dev.lock --no-header --no-annotate --no-emit-index-url --no-emit-find-links

bundles: install         ## build every function's bundle and print its size
	$(RUN)python -m infra.bundle

build-%:                 # `sam build` calls this for each function
	$(RUN)python -m infra.bundle $* $(ARTIFACTS_DIR)

deploy: install $(SAM)/.done  ## validate, build and deploy the stack to AWS
	$(SAM)/bin/sam validate
	$(SAM)/bin/sam build
	$(SAM)/bin/sam deploy --guided

format: install
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

clean:
	rm -rf $(VENV) $(SAM) .aws-sam build .longshore

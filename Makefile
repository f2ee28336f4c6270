# Two commands on a fresh machine: `make demo` and `make test`. They need Python >= 3.11 and make, and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cksum requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
DEMO_STORE ?= .tlbatch/demo
WORKERS ?= 2
# a file's tests stay on one worker, so that what they share is made once; in the order of the files, long ones first
DIST := --dist loadfile --no-loadscope-reorder
CLAIMS ?= photographs or breeds or whole_file or memory
CHAOS_TESTS ?= tests/faults tests/jobs/statistics tests/jobs/promotion
CLUSTER ?= ../shared/cluster/cluster
export TLBATCH_SAMPLES ?= $(CURDIR)/build/samples

.PHONY: help setup demo test test-all lint docs bench bench-gpu growth images e2e e2e-full chaos claims chaos-cluster sbom audit clean
help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## the virtual environment, from the hash-locked set (5.7 GB with torch)
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tlbatch needs Python 3.11 or newer: make PYTHON=python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_COMPILE_BYTECODE_TIMEOUT=600 $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@rm -f $(VENV)/.installed-*; touch $@

$(TLBATCH_SAMPLES)/.done: jobs/samples.py | $(STAMP)
	$(BIN)/python -m jobs.samples source $(TLBATCH_SAMPLES)/source-digits
	$(BIN)/python -m jobs.samples digits $(TLBATCH_SAMPLES)/digits
	@touch $@

demo: $(STAMP) $(TLBATCH_SAMPLES)/.done  ## does transfer help? Rendered digits to handwritten ones, 5 labels a class
	$(BIN)/tlbatch run jobs/specs/quickstart-source.yaml --store $(DEMO_STORE)
	$(BIN)/tlbatch run jobs/specs/quickstart.yaml --store $(DEMO_STORE)

test: $(STAMP)  ## the tests, without the slow part
	$(BIN)/python -m pytest -n $(WORKERS) $(DIST) -m "not slow and not e2e and not bench" $(PYTEST_ARGS)

test-all: $(STAMP)  ## the slow part too
	$(BIN)/python -m pytest -n $(WORKERS) $(DIST) -m "not bench and not e2e" $(PYTEST_ARGS)

PEERS := build/peers/.installed-$(shell cksum < tests/bench/peers/requirements.lock | cut -d' ' -f1)
$(PEERS): | $(STAMP)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/peers
	$(BIN)/uv pip install --quiet --python build/peers/bin/python --no-deps --require-hashes -r tests/bench/peers/requirements.lock
	@touch $@

bench: $(STAMP) $(PEERS)  ## timing, as ratios in one run (those of the cluster where one is up): docs/speed.md's table and plot
	rm -rf build/bench && mkdir -p build/bench
	TLBATCH_REQUIRE=$${TLBATCH_REQUIRE:-},peers TLBATCH_PEERS=$(CURDIR)/build/peers/bin/python TLBATCH_BENCH=$(CURDIR)/build/bench $(BIN)/python -m pytest -m bench -s $(PYTEST_ARGS); \
	code=$$?; $(BIN)/python -m tests.bench.page build/bench && exit $$code

bench-gpu: $(STAMP)  ## everything that is to be measured on one GPU, in eight minutes; a table, and build/bench-gpu/gpu.json
	$(BIN)/python -m tests.bench.gpu build/bench-gpu

growth: $(STAMP)  ## what grows with what, in a quarter of an hour: docs/growth.md's table and plot, and build/growth/growth.json
	$(BIN)/python -m tests.bench.growth build/growth

images:  ## launcher, data, extract, finetune, evaluate: docker buildx or buildah (PREFIX=, TORCH=cuda|cpu, PUSH=1)
	$(PYTHON) images/build.py $(if $(PUSH),--push) $(if $(wildcard $(CLUSTER)),--bud "$(abspath $(CLUSTER)) bud" --push-with "$(abspath $(CLUSTER)) push")

e2e: $(STAMP)  ## on a real cluster, which is built and started here where it is not up
	CLUSTER=$(CLUSTER) tests/e2e/with-cluster.sh $(BIN)/python -m pytest -m "e2e and not slow and not bench" $(PYTEST_ARGS) tests

e2e-full: $(STAMP)  ## on a real cluster, the slow ones too
	CLUSTER=$(CLUSTER) tests/e2e/with-cluster.sh $(BIN)/python -m pytest -m "e2e and not bench" $(PYTEST_ARGS) tests

chaos: $(STAMP)  ## half an hour of faults: kills at writes, a failing network, damage, hostile files, full simulations
	rm -rf build/faults
	TLBATCH_CHAOS=1 TLBATCH_FAULTS=$(CURDIR)/build/faults $(BIN)/python -m pytest -n $(WORKERS) -m "not e2e and not bench" $(PYTEST_ARGS) $(CHAOS_TESTS)
	$(BIN)/python -m tests.faults.records build/faults "$$(date -u +%Y-%m-%d)" > docs/faults.md

claims: $(STAMP)  ## an hour: what the manual says of photographs, ready-made studies and catalogues, measured again
	TLBATCH_CHAOS=1 $(BIN)/python -m pytest -n $(WORKERS) $(DIST) -m "not e2e and not bench" -k "$(CLAIMS)" $(PYTEST_ARGS) tests/studies tests/jobs

chaos-cluster: $(STAMP)  ## the same on a real cluster: API server away, evictions, quota shrunk, Jobs deleted
	CLUSTER=$(CLUSTER) TLBATCH_CHAOS=1 TLBATCH_FAULTS=$(CURDIR)/build/faults tests/e2e/with-cluster.sh $(BIN)/python -m pytest $(PYTEST_ARGS) tests/e2e/test_chaos.py

sbom: $(STAMP)  ## what is in the images: a CycloneDX bill of materials for each set of dependencies
	images/sbom.sh

audit: $(STAMP)  ## known vulnerabilities of what is in the images
	images/audit.sh

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## the manual, into build/site; dead links and anchors fail
	$(BIN)/mkdocs build --strict
	@echo "build/site/index.html"

clean:  ## forget the demo and the samples (not the environment)
	rm -rf $(DEMO_STORE) build

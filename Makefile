# Every command sets itself up. `make demo` is the main job, `make test` runs every test.
# The environment is installed from pinned, hashed requirements; only Python 3.11 or newer has to be there.

PYTHON ?= python3
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/distillery
BIN := .venv/bin
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PROJECTS := trainer/contract trainer trainer/quickstart operator
JOBS ?= 2
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' operator/pyproject.toml)
REGISTRY ?= registry.example.com/ml
WHEELS := trainer/contract trainer operator
PARALLEL = --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
SOURCES := operator/src trainer/src trainer/contract/src trainer/quickstart/src tests bench docs manifests charts
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-package distillery-contract \
	--no-emit-package distillery-trainer --no-emit-package distillery-operator --python-version 3.11 \
	--custom-compile-command "make lock"

.PHONY: help setup demo demo-cluster test test-neighbours test-fast check generate manifest format lock bench bench-search cluster cluster-down \
	wheels images chart release-check publish sign clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/ready ## Install the environment into .venv

demo: setup ## Search on this machine, from nothing: data, teacher, trials, report, exported model
	$(BIN)/python bench/demo.py

demo-cluster: setup ## The demo on a real Kubernetes of one node (needs root and Go; 30 minutes if nothing is built yet)
	$(BIN)/python bench/demo_cluster.py

test: setup ## Run every test but those of neighbours; says first what it builds or installs (root; cold 6 min more)
	cd tests && ../$(BIN)/python -m support.parts
	$(BIN)/pytest $(PARALLEL) -m "fast or whole"

test-neighbours: setup ## Run the tests beside other projects' programs, the Prometheus operator's (root; cold 10 min more)
	cd tests && ../$(BIN)/python -m support.parts neighbours
	$(BIN)/pytest tests/neighbours

test-fast: setup ## Run the tests that need no cluster, no server and no long training; TESTS=tests/search runs one room's
	$(BIN)/pytest $(PARALLEL) -m fast $(TESTS)

check: setup ## Check format, lint, types, layers, pins
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory generate lock
	git diff --exit-code -- docs/reference.md manifests/crd.yaml charts/distillery/README.md charts/distillery/files/crd.yaml \
		charts/distillery/dashboards '*requirements.txt'
	touch .venv/ready # the pins are written anew, but the same

generate: setup ## Write generated files again
	$(BIN)/python docs/reference.py
	$(BIN)/python manifests/generate.py
	$(BIN)/python charts/derive.py
	PYTHONPATH=charts $(BIN)/python -m dashboards

manifest: setup ## Render manifests/operator.yaml from the chart; builds Helm once (Go)
	cd tests && ../$(BIN)/python -m support.charts

format: setup ## Format the code, and fix what lint can fix
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: $(UV) ## Pin every dependency again; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) $(PROJECTS:=/pyproject.toml) --group pyproject.toml:dev \
		--extra gp --extra report --extra dashboard --output-file tests/requirements.txt
	$(COMPILE) $(UPGRADE) operator/pyproject.toml --extra report --extra dashboard --constraints tests/requirements.txt \
		--output-file operator/requirements.txt
	$(COMPILE) $(UPGRADE) operator/pyproject.toml --extra gp --extra report --extra dashboard \
		--constraints tests/requirements.txt --output-file operator/gp-requirements.txt
	$(COMPILE) $(UPGRADE) trainer/pyproject.toml --constraints tests/requirements.txt \
		--output-file trainer/requirements.txt

bench: setup ## Measure the trainer's speed, and that of a plain training loop
	$(BIN)/python bench/trainer.py

bench-search: setup ## Compare the searches of Distillery, Optuna and Syne Tune, in simulated time
	OMP_NUM_THREADS=1 $(BIN)/python bench/search.py --jobs 2 --plot docs/search.png # threads as in the operator's image

cluster: ## Start a Kubernetes of one node on this machine; eval "$(make cluster)" lets kubectl use it
	@cd tests && $(PYTHON) -m support.cluster up

cluster-down: ## Stop that Kubernetes and remove its files
	@cd tests && $(PYTHON) -m support.cluster down

wheels: $(UV) ## Build the three packages that pip installs, into dist/
	for project in $(WHEELS); do $(UV) build --quiet --wheel --out-dir dist $$project; done

images: ## Build both images by Docker, with provenance and SBOM; REGISTRY=... names them, PUSH=--push sends them there
	for name in operator trainer; do \
		docker buildx build --file $$name/Dockerfile --tag $(REGISTRY)/distillery-$$name:$(VERSION) --provenance=mode=max \
			--sbom=true --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
			--metadata-file dist/$$name.json $(PUSH) . || exit 1; \
	done

chart: ## Package the chart into dist/
	helm package charts/distillery --destination dist

release-check: ## See that TAG is the version of chart and packages
	test "$(TAG)" = "v$(VERSION)"
	grep -qx 'version: $(VERSION)' charts/distillery/Chart.yaml

publish: wheels chart ## Publish packages (to the index of uv) and chart (to REGISTRY)
	$(UV) publish dist/*-$(VERSION)-*.whl
	helm push dist/distillery-$(VERSION).tgz oci://$(REGISTRY)/charts

sign: ## Sign the images that `make images PUSH=--push` has sent, by cosign and the identity of this machine
	for name in operator trainer; do \
		digest=$$($(PYTHON) -c "import json; print(json.load(open('dist/$$name.json'))['containerimage.digest'])") && \
		cosign sign --yes $(REGISTRY)/distillery-$$name@$$digest || exit 1; \
	done

clean: ## Remove what these commands created in this folder
	rm -rf .venv .demo dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(UV):
	$(PYTHON) -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/python -m pip install --quiet uv==$(UV_VERSION)

.venv/ready: tests/requirements.txt $(PROJECTS:=/pyproject.toml) | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r tests/requirements.txt
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps $(PROJECTS:%=-e %)
	touch $@

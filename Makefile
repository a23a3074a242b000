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
DIST ?= dist
PLATFORMS ?= linux/amd64 linux/arm64
COMMA := ,
WHEELS := trainer/contract trainer operator
PARALLEL = --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
SOURCES := operator/src trainer/src trainer/contract/src trainer/quickstart/src tests bench docs manifests charts
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-package distillery-contract \
	--no-emit-package distillery-trainer --no-emit-package distillery-operator --python-version 3.11 \
	--custom-compile-command "make lock"

.PHONY: help setup demo demo-cluster test test-neighbours test-fast check generate manifest format lock bench bench-search bench-katib cluster \
	cluster-down wheels images push chart push-chart sbom sign verify publish release-check release-dry-run clean

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

test-neighbours: setup ## Run the tests beside other projects' programs, and those of faults of a node that take minutes (root; cold 20 min more)
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
	$(COMPILE) $(UPGRADE) --group pyproject.toml:images --output-file trainer/contract/image-requirements.txt

bench: setup ## Measure the trainer's speed, and that of a plain training loop
	$(BIN)/python bench/trainer.py

bench-search: setup ## Compare the searches of Distillery, Optuna, BoTorch and Syne Tune, in simulated time; goes on where it ended
	OMP_NUM_THREADS=1 $(BIN)/python bench/search.py --jobs 2 --plot docs/search.png # threads as in the operator's image

bench-katib: setup ## Compare refills, rates and costs with those of Katib v0.19.0, on control planes of this machine (root; 25 minutes)
	$(BIN)/python bench/katib

cluster: ## Start a Kubernetes of one node on this machine; eval "$(make cluster)" lets kubectl use it
	@cd tests && $(PYTHON) -m support.cluster up

cluster-down: ## Stop that Kubernetes and remove its files
	@cd tests && $(PYTHON) -m support.cluster down

wheels: $(UV) ## Build the three packages that pip installs, into dist/
	for project in $(WHEELS); do $(UV) build --quiet --wheel --out-dir $(DIST) $$project || exit 1; done

images: ## Build both images for all PLATFORMS by Docker, with provenance, into dist/
	for name in operator trainer; do \
		docker buildx build --platform $(subst $() ,$(COMMA),$(PLATFORMS)) --file $$name/Dockerfile --tag $(REGISTRY)/distillery-$$name:$(VERSION) --provenance=mode=max \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE=$(SOURCE) \
			--output type=oci,tar=false,dest=$(DIST)/$$name . || exit 1; \
	done

push: ## Send the images of dist/ to REGISTRY; dist/*.ref say by which digest they are found there
	for name in operator trainer; do \
		crane push $(DIST)/$$name $(REGISTRY)/distillery-$$name:$(VERSION) --image-refs $(DIST)/$$name.ref || exit 1; \
	done

chart: setup ## Package the chart into dist/; it names the images that `make push` has sent, if it has
	$(BIN)/python charts/package.py $(DIST) --source "$(SOURCE)"

push-chart: ## Send the chart of dist/ to REGISTRY
	helm push $(DIST)/distillery-$(VERSION).tgz oci://$(REGISTRY)/charts $(PLAIN_HTTP)
	digest=$$(crane digest $(REGISTRY)/charts/distillery:$(VERSION)) && \
		echo $(REGISTRY)/charts/distillery@$$digest > $(DIST)/chart.ref

sbom: ## List all that is in the images that `make push` has sent, for each platform: Debian's packages, Python's, files
	for name in operator trainer; do for platform in $(PLATFORMS); do \
		syft scan registry:$$(cat $(DIST)/$$name.ref) --platform $$platform \
			--output spdx-json=$(DIST)/$$name-$${platform##*/}.spdx.json || exit 1; \
	done; done

sign: ## Sign images and chart, and attach the lists of `make sbom`; SIGNER=... is another than this machine's identity
	for name in operator trainer chart; do cosign sign --yes $(SIGNER) $$(cat $(DIST)/$$name.ref) || exit 1; done
	for name in operator trainer; do for platform in $(PLATFORMS); do \
		cosign attest --yes $(SIGNER) --type spdxjson --predicate $(DIST)/$$name-$${platform##*/}.spdx.json \
			$$(cat $(DIST)/$$name.ref) || exit 1; \
	done; done

verify: ## See that SIGNED_BY has signed images, lists and chart
	for name in operator trainer chart; do cosign verify $(SIGNED_BY) $$(cat $(DIST)/$$name.ref) > $(DIST)/verified || exit 1; done
	for name in operator trainer; do \
		cosign verify-attestation $(SIGNED_BY) --type spdxjson $$(cat $(DIST)/$$name.ref) > $(DIST)/verified || exit 1; \
	done

publish: ## Send the packages of dist/ to the index that uv is told
	$(UV) publish $(DIST)/distillery_*-$(VERSION)-*.whl

release-check: ## See that TAG is the version of chart and packages
	test "$(TAG)" = "v$(VERSION)"
	grep -qx 'version: $(VERSION)' charts/distillery/Chart.yaml

release-dry-run: setup ## A release to a registry and an index on this machine, and an installation from there (root; cold 15 min)
	$(BIN)/pytest tests/neighbours/test_dry_run.py

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

# make demo   sets everything up and runs recipes/demo.yaml
# make test   sets everything up and passes the tests
# make test-slow  the tests that take longest
# make lint   style, types and room order
# make docs   the documentation site, in docs/_build/html
# make frontend  the studio's editor, from frontend/ (node and npm)
.PHONY: demo test test-slow lint format docs frontend clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

demo: $(READY)
	$(BIN)/xmtf run recipes/demo.yaml
	@echo "Open runs/demo/report/index.html"

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)
	sh scripts/check-docs.sh $(VENV)

frontend:
	sh scripts/check-frontend.sh --write

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	PYTHON=$(PYTHON) sh scripts/setup.sh $(VENV)
	touch $(READY)

clean:
	rm -rf $(VENV) runs

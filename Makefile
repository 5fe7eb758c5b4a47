# Everything a newcomer or CI needs. Only Python 3.11+, make and the package index are assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOWEST := $(VENV)-lowest
LITELLM := $(VENV)-litellm

.PHONY: demo test test-lowest test-litellm check bench soak docs format clean

# Each stamp is one installed set; a changed pyproject.toml installs anew.
$(VENV)/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "asyncsecrets needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local]'
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local,cli,aws,google,azure]' --group test
	@touch $@

# The lowest versions that pyproject.toml declares, with the newest test tools that go with them. Nothing installed is kept.
$(LOWEST)/.test: pyproject.toml tests/lowest.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "asyncsecrets needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(LOWEST)/bin/python -m tests.lowest local cli aws google azure pydantic testing > $(LOWEST)/lowest.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/lowest.txt --editable '.[local,cli,aws,google,azure,pydantic,testing]' --group test
	@touch $@

# Beside the newest LiteLLM, by the extra that goes with it: what is installed last must not break what was there. Its
# proxy reads and stores through our hook. It imports prisma, the client of its database, when a request fails.
$(LITELLM)/.test: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "asyncsecrets needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv --clear $(LITELLM)
	@$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check 'litellm[proxy]' prisma
	@$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,local,aws-aiobotocore,google,azure,testing]' 'litellm[proxy]' prisma --group test
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group check
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

demo: $(VENV)/.base
	@$(BIN)/asyncsecrets demo

# Hundreds of processes start from what Python has compiled once, also where it is told not to keep that.
TESTED := PYTHONASYNCIODEBUG=1 PYTHONDONTWRITEBYTECODE=

test: $(VENV)/.test
	@$(TESTED) $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-lowest: $(LOWEST)/.test
	@$(TESTED) $(LOWEST)/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

test-litellm: $(LITELLM)/.test
	@$(LITELLM)/bin/python -m pip check
	@LITELLM_LOCAL_MODEL_COST_MAP=True $(LITELLM)/bin/python -c 'import sys, litellm; assert not sys.modules.get("aioboto3")'
	@$(TESTED) $(LITELLM)/bin/python -m pytest -n 2 --dist worksteal tests/providers/aws tests/integrations/litellm $(ARGS)

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy examples
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q tests/test_layering.py

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

soak: $(VENV)/.test
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -n 2 --dist worksteal -m "soak or not soak" $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/zensical build --strict

clean:
	rm -rf $(VENV) $(LOWEST) $(LITELLM) site dist build .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

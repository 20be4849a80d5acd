# Every target needs only python3, venv and make: .venv is built when it is missing or pyproject.toml changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# waiting threads sleep instead of spinning: on a busy machine several times faster, on an idle one the same
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo docs test test-slow test-timm test-compat test-browser lint format dist release-check clean

help:
	@echo "make demo       finetune, fuse, save, reload and draw a GMConv network on real images (offline, about 2 minutes)"
	@echo "make test       the test suite (about 5 minutes on 2 cores)"
	@echo "make test-slow  the long tests as well"
	@echo "make test-timm  timm's own model tests over our models (fetches timm's source distribution)"
	@echo "make test-compat  exports and other people's software over our models; writes docs/compatibility.md"
	@echo "make test-browser  pages and the app of demo/ in headless Chromium, which is installed with apt where it is missing"
	@echo "make docs       the site of docs/ in build/site; a broken link or reference is an error"
	@echo "make lint       ruff and mypy"
	@echo "make dist       the wheel and the sdist, checked with twine"
	@echo "make release-check  make dist, then the wheel's demo and the sdist's tests, each in an environment of its own"

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# what the tests of demo/ need, in an environment of its own that also sees the packages of the first one
$(VENV)/app/ready: $(VENV)/ready demo/requirements.txt
	$(BIN)/python -m venv $(VENV)/app
	$(VENV)/app/bin/python -c "import pathlib, sys, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'first.pth') \
		.write_text('import site; site.addsitedir(%r)' % sys.argv[1])" \
		"$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")"
	$(VENV)/app/bin/python -m pip install --quiet playwright "$$(grep ^gradio demo/requirements.txt)"
	touch $@

demo: $(VENV)/ready
	$(BIN)/gmconv demo --overwrite

# the site needs none of the package's dependencies: its environment has the packages of the extra alone
$(VENV)/docs/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)/docs
	$(VENV)/docs/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/docs/bin/python -m pip install --quiet $(shell sed -n 's/^docs = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ,)
	touch $@

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/docs/ready
	$(VENV)/docs/bin/mkdocs build --strict

# two processes of one thread each; a file's tests stay in one of them, as they share its fixtures
test test-slow: export OMP_NUM_THREADS := 1
test: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not gpu and not network and not compat"

test-timm: $(VENV)/ready
	$(BIN)/python -m pytest -m network -s tests/test_timm_suite.py

test-compat: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable ".[compat]"
	$(BIN)/python -m pytest -m compat -rs tests/compat --write-compatibility docs/compatibility.md

test-browser: $(VENV)/app/ready
	command -v chromium > /dev/null || (apt-get update && apt-get install --yes --no-install-recommends chromium)
	$(VENV)/app/bin/python -m pytest -m browser -rs

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: $(VENV)/ready
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

# what a user gets: the wheel with the extra that the demo needs, and the tests as the sdist holds them
release-check: dist
	rm -rf build/release && mkdir -p build/release
	$(PYTHON) -m venv build/release/wheel
	build/release/wheel/bin/python -m pip install --quiet "$$(ls $(CURDIR)/dist/*.whl)[demo]"
	cd build/release && wheel/bin/gmconv demo --output demo
	tar -xzf dist/*.tar.gz -C build/release
	$(MAKE) -C build/release/gmconv_zoo-* test

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

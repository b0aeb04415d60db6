# make book | make test: install what is missing, then do it.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Three processes fill two cores, because some tests wait for a server, a process or a browser.
PARALLEL := -n 3 --dist loadscope --no-loadscope-reorder

# Test files that make check leaves to make test.
LATER := real_clips accessibility pages transfer pretrained movinet efficientnet training predict models export camera recipes pipeline execution faults_*
SLOW := $(LATER:%=--ignore-glob=tests/test_%.py)

.PHONY: help setup book pdf links check test test-colab test-backends test-oldest test-long mutants faults bench notebooks pictures address clean

help:
	@echo "make book           execute every chapter and render the book at _build/html/index.html"
	@echo "make pdf            print the committed chapters to _build/video-classification-book.pdf"
	@echo "make links          check the web links of the book and the README, which needs the internet"
	@echo "make check          run the quick half of the tests, with format, lint and types: before a commit"
	@echo "make test           run all tests, and all chapters again"
	@echo "make test-colab     run every chapter with the versions of Colab, outside of this checkout"
	@echo "make test-backends  run networks and a training under TensorFlow, JAX and PyTorch"
	@echo "make test-oldest    run the helpers' tests with the oldest versions that pyproject.toml allows"
	@echo "make test-long      run what takes too long for every day: see CONTRIBUTING.md"
	@echo "make mutants        change helpers in small ways and report which changes no test notices (half an hour)"
	@echo "make faults         inject faults and record the results for the page What can go wrong"
	@echo "make bench          time reading and training, compared with the tutorial, torchvision, PyAV and decord"
	@echo "make notebooks      execute the chapters and write notebooks/*.ipynb (after you changed a .py)"
	@echo "make pictures       draw the images of the README and the landing page"
	@echo "make address URL=https://github.com/OWNER/NAME   set the repository's address everywhere"
	@echo "make clean          remove everything that was built, drawn, downloaded and trained"

setup: $(INSTALLED)

$(INSTALLED): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit("The book needs Python 3.11 to 3.13, and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@# The tests use axe-core's script from this package, but not its code, nor the browsers that it would install.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python -c constraints.txt
	@touch $@

book: setup
	$(BIN)/python tools/build_book.py

pdf: setup
	$(BIN)/python tools/make_pdf.py

links: setup
	$(BIN)/python tools/check_links.py

test: setup
	env -u BOOK_DATASET -u BOOK_RUN $(BIN)/python -m pytest $(PARALLEL) --nbval-lax --nbval-current-env --nbval-cell-timeout=900 tests notebooks

check: setup
	$(BIN)/python -m pytest -q $(PARALLEL) tests $(SLOW)

test-colab: setup
	$(BIN)/python tools/run_in_colab.py 3.12

test-backends: setup
	$(BIN)/python tools/run_backends.py

test-oldest: setup
	$(BIN)/python tools/run_with_oldest.py

test-long: setup test-oldest mutants
	env -u BOOK_DATASET -u BOOK_RUN $(BIN)/python -m pytest $(PARALLEL) --long tests
	$(BIN)/python tools/run_in_colab.py

mutants: setup
	env -u BOOK_DATASET -u BOOK_RUN $(BIN)/python tools/mutate.py

faults: setup
	$(BIN)/python -m pytest --record-faults tests/test_faults_downloading.py tests/test_faults_decoding.py tests/test_faults_caching.py tests/test_faults_training.py tests/test_training.py

bench: setup
	BOOK_RUN=full $(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/peers.py

notebooks: setup
	env -u BOOK_DATASET -u BOOK_RUN $(BIN)/python tools/write_notebooks.py

pictures: setup
	$(BIN)/python tools/draw_pictures.py

address: setup
	$(BIN)/python tools/set_address.py $(URL)

clean:
	rm -rf _build data runs notebooks/.ipynb_checkpoints

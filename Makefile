# The daily commands. Those that call tox need nothing but tox; the others need the development environment (make setup).
PYTHON ?= .venv/bin/python

.PHONY: help setup hooks test slow lint types bench lowest coverage docs pictures site package

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make .venv with everything that development needs
	python3 -m venv .venv
	.venv/bin/python -m pip install -c constraints.txt -e ".[dev]"

hooks:  ## run the pre-commit hooks on every commit
	$(PYTHON) -m pre_commit install

test:  ## all tests that are not marked slow
	tox run -e tests

slow:  ## the tests that are marked slow
	tox run -e tests -- -m slow

lint:  ## style, docstrings, import contracts
	tox run -e lint

types:  ## mypy
	tox run -e types

bench:  ## the benchmarks, on an idle machine
	tox run -e bench

lowest:  ## the tests marked versions, on the lowest versions
	tox run -e lowest

coverage:  ## the tests of "make test" with their coverage; a report, not a gate
	tox run -e tests -- --cov --cov-report=term

docs:  ## the measured rows of the methods' pages and the picture of the rooms
	$(PYTHON) tools/measured_rows.py
	$(PYTHON) tools/house.py --picture docs/images/house.svg

pictures:  ## the pictures of pages: report, site, MLflow; needs Chromium, and real features in $$ZSLBENCH_SHARED_DATA
	$(PYTHON) tools/screenshots.py

site:  ## the documentation as a site, built whole; "mkdocs serve" shows it while you write
	tox run -e docs

package:  ## sdist and wheel, checked and installed
	tox run -e package

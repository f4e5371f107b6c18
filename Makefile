# Four public targets: run, test, check, bench. They need Python 3.11 or later (with venv and pip) and make;
# everything else is installed into .venv, pinned by constraints.txt. Files under .venv are set-up stamps.
#
#   make run     set-up and the main job: the example fleet through May 2029, results under out/colossus
#   make test    set-up and all tests; what was skipped is printed last
#   make check   format, lint, types, import contracts
#   make bench   every benchmark, each in its own process
#
# PYTHON chooses the interpreter that creates .venv:  make run PYTHON=python3.13

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.PHONY: run test check bench

run: .venv/.ready
	$(BIN)/offtake run examples/colossus --out out/colossus

test: .venv/.ready-dev .venv/.ready-system .venv/.ready-focus
	$(BIN)/python -m pytest -n 2 --dist loadscope

check: .venv/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.ready-bench .venv/.ready-rivals
	$(BIN)/python -m benchmarks

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "offtake needs Python 3.11 or later, and none was found on PATH;" \
		"install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "offtake needs Python 3.11 or later;" \
		"$(PYTHON) is $$("$(PYTHON)" --version 2>&1 || true); name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) can't create virtual environments;" \
		"on Debian and Ubuntu: apt install" \
		"$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

# pip's own output is quiet; a failure still prints its reason.
.venv/.ready: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/.ready-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/.ready

# Tests look at the report in a real browser, read the PDF back, and meter a real Slurm and a real Prometheus.
# Elsewhere than on Debian as root, what is missing is named, and the tests that need it are skipped and listed at the
# end. The stamp depends on this file, so that an old checkout looks again when the list grows. The tests start their
# own daemons in folders of their own; at run level 1 the packages' scripts start none of the system's (invoke-rc.d), and where
# systemd runs the units are switched off, but for those of a service that was there before.
SYSTEM := chromium:chromium pdftotext:poppler-utils slurmctld:slurmctld slurmd:slurmd sacct:slurm-client \
	slurmdbd:slurmdbd munged:munge mariadbd:mariadb-server faketime:faketime prometheus:prometheus \
	*/slurm-wlm/accounting_storage_mysql.so:slurm-wlm-mysql-plugin */slurm-wlm/select_cons_tres.so:slurm-wlm-basic-plugins

.venv/.ready-system: Makefile | .venv/bin/python
	@export PATH="$$PATH:/usr/sbin:/sbin"; missing=""; \
	for pair in $(SYSTEM); do what="$${pair%%:*}"; \
		case "$$what" in \*/*) ls /usr/lib/$$what >/dev/null 2>&1;; *) command -v "$$what" >/dev/null;; esac \
			|| missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing for the tests:$$missing"; \
		apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends $$missing >/dev/null && touch $@ && \
		if [ -d /run/systemd/system ]; then for p in $$missing; do case "$$p" in \
			slurmctld|slurmd|slurmdbd|munge|prometheus) systemctl disable --now "$$p";; \
			mariadb-server) systemctl disable --now mariadb;; esac; done; fi; \
	else echo "not installed, some tests will be skipped:$$missing" >&2; fi

# The FinOps Foundation's validator of FOCUS 1.2 wants Python 3.12 and an older numpy: an environment of its own.
# Where there is no such Python, on PATH or among pyenv's, the test that runs it is skipped and listed at the end.
.venv/.ready-focus: | .venv/bin/python
	@for p in python3.12 "$$(pyenv root 2>/dev/null)"/versions/3.12*/bin/python3; do \
		"$$p" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		"$$p" -m venv .venv/oracles/focus && .venv/oracles/focus/bin/python -m pip install \
			--disable-pip-version-check --quiet focus-validator==2.2.1 'pyarrow<22' && touch $@; exit; \
	done; echo "no Python 3.12, some tests will be skipped: they run focus-validator" >&2

.venv/.ready-bench: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[bench]'
	@touch $@ .venv/.ready

# A rival runs in an environment of its own, so that its hundred dependencies meet none of ours.
.venv/.ready-rivals: Makefile | .venv/bin/python
	"$(PYTHON)" -m venv .venv/rivals/cloudkitty
	.venv/rivals/cloudkitty/bin/python -m pip install --disable-pip-version-check --quiet cloudkitty==25.0.0
	"$(PYTHON)" -m venv .venv/rivals/blazar
	.venv/rivals/blazar/bin/python -m pip install --disable-pip-version-check --quiet blazar==18.0.0
	"$(PYTHON)" -m venv .venv/rivals/ortools
	.venv/rivals/ortools/bin/python -m pip install --disable-pip-version-check --quiet ortools==9.15.6755 scipy==1.17.1
	@touch $@

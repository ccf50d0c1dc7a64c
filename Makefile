# Thin on purpose: each target calls a program under deploy/, which says what it does while it does it.

# Where it runs: what runs already without containers is meant; else containers where a Docker engine answers, else
# programs on this machine. `make up STACK=local` decides it.
ifndef STACK
STACK = $(eval STACK := $$(shell \
    if test ! -e "$(or $(STACK_DIR),.local)/supervisord.pid" && test -f docker-compose.yml && timeout 3 docker info > /dev/null 2>&1; \
    then echo compose; else echo local; fi))$(STACK)
else ifneq ($(STACK),compose)
ifneq ($(STACK),local)
$(error STACK must be compose or local, not "$(STACK)")
endif
endif

PY = .venv/bin/python
RUN = $(PY) deploy/$(STACK)
# One process per processor; tests of one file, and journeys on one stack, stay in one process and share its servers.
PYTEST = $(PY) -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL = help
.PHONY: up down clean url status logs user user-remove users dead-letters retry load-data help lint test test-all bench setup pins openapi env

up: setup ## Start everything that does not run yet (RELOAD=1: apply changed code; TLS=1: HTTPS; STACK=compose|local)
	@$(RUN) up $(if $(RELOAD),--reload) $(if $(TLS),--tls)

down: setup ## Stop everything; the data stays
	@$(RUN) down

clean: setup ## Stop everything and remove its data, its settings and its secrets; asks first (YES=1: does not)
	@$(RUN) clean $(if $(filter 1,$(YES)),--yes)

url: setup ## Print the address with user and password (make -s url)
	@$(RUN) url

status: setup ## Show the programs, and what /health says
	@$(RUN) status

logs: setup ## Follow the logs: all, or S=sequence-web; F=0 prints the end of them and returns
	@$(RUN) logs $(S) $(if $(filter 0,$(F)),--no-follow)

user: setup ## Add a user, or replace the password of one: NAME=ann [ROLE=admin|writer|reader|runner]
	@$(RUN) user "$(or $(NAME),$(error name the user: make user NAME=ann))" $(ROLE)

user-remove: setup ## Remove a user: NAME=ann
	@$(RUN) user-remove "$(or $(NAME),$(error name the user: make user-remove NAME=ann))"

users: setup ## List the users and their roles
	@$(RUN) users

dead-letters: setup ## List the messages that no worker could handle
	@$(RUN) dead-letters

retry: setup ## Put the dead letters of a queue back: QUEUE=orders.import
	@$(RUN) retry "$(or $(QUEUE),$(error say which queue: make retry QUEUE=orders.import))"

load-data: setup ## Load the sample factories and sprockets, or FILE=... of either
	@$(RUN) load-data $(FILE)

lint: setup ## Check style, types and who may import whom
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

test: setup ## Run the tests of a change in five minutes: all but faults, fuzzing, slow ones and most journeys (ARGS=...)
	@$(PYTEST) -m "not fault and not fuzz and not slow" $(ARGS)

test-all: setup ## Run all tests, the journeys on both stacks, and measure coverage (ARGS=...)
	@$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

bench: setup ## Measure throughput and latency through the gateway
	@$(PY) bench/run.py $(ARGS)

setup: ## Make .venv, or bring it up to date
	@sh deploy/setup.sh

pins: setup ## Write the file of pins anew from the ranges (ARGS=--upgrade: with the newest versions)
	@sh deploy/pins.sh $(ARGS)

openapi: setup ## Write each service's openapi.yaml anew from its code
	@for folder in *-service; do word=$${folder%-service}; \
	    DATABASE_URL=postgresql://unused $(PY) -m $${word}_service openapi > $$folder/openapi.yaml || exit 1; done

env: setup ## Only create .env and the other files that `docker compose` reads, for calling it by hand
	@$(PY) deploy/compose env

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | while IFS='	' read -r name says; do printf '  make %-14s %s\n' "$$name" "$$says"; done

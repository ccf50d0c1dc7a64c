# Each target only calls a program in deploy/, which reports its progress.

# The deployment mode: `local` if this folder has a stack without containers that is running, or if it is the folder's only
# stack; otherwise `compose` if a Docker engine responds, and `local` if not. `make up STACK=local` overrides it.
LOCAL_HOME = $(or $(STACK_DIR),.local)
ENV_FILE = $(or $(STACK_DIR),.)/.env
ifndef STACK
STACK = $(eval STACK := $$(shell \
    if test -e "$(LOCAL_HOME)/supervisord.pid"; then echo local; \
    elif test -e "$(LOCAL_HOME)/this-is-a-quintet-stack" && ! grep -qs "^COMPOSE_PROJECT_NAME=" "$(ENV_FILE)"; then echo local; \
    elif test -f docker-compose.yml && timeout 3 docker info > /dev/null 2>&1; then echo compose; \
    else echo local; fi))$(STACK)
else ifneq ($(STACK),compose)
ifneq ($(STACK),local)
$(error STACK must be compose or local, not "$(STACK)")
endif
endif

PY = .venv/bin/python
RUN = $(PY) deploy/$(STACK)
# One process per processor; the tests of one file, and the journeys on one stack, run in one process and share servers.
PYTEST = $(PY) -m pytest --numprocesses logical --maxprocesses 8 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL = help
.PHONY: up upgrade down clean url status logs user user-remove users dead-letters retry discard load-data backup restore rotate-passwords help lint test test-long test-all test-faults bench screenshots setup pins openapi dashboards env release

up: setup ## Start the stack (RELOAD=1: apply code changes; TLS=1: serve HTTPS; STACK=compose|local)
	@$(RUN) up $(if $(RELOAD),--reload) $(if $(TLS),--tls)

upgrade: setup ## Replace all programs by the new version without failed requests (BACKUP=0: without a backup)
	@$(RUN) upgrade $(if $(filter 0,$(BACKUP)),--no-backup)

down: setup ## Stop the stack and keep its data
	@$(RUN) down

clean: setup ## Stop the stack and remove its data, settings and secrets after confirmation (YES=1: without)
	@$(RUN) clean $(if $(filter 1,$(YES)),--yes)

url: setup ## Print the URL with user and password (make -s url)
	@$(RUN) url

status: setup ## Show the state of all programs and the response of /health
	@$(RUN) status

logs: setup ## Follow all logs (S=<program>: only its log; L=<minimum level>; R=<request ID>; F=0: do not follow)
	@$(RUN) logs $(S) $(if $(filter 0,$(F)),--no-follow) $(if $(R),--request "$(R)") $(if $(L),--level "$(L)")

user: setup ## Add a user or replace a password: NAME=ann [ROLE=admin|writer|reader|runner]
	@$(RUN) user "$(or $(NAME),$(error NAME is required: make user NAME=ann))" $(ROLE)

user-remove: setup ## Remove a user: NAME=ann
	@$(RUN) user-remove "$(or $(NAME),$(error NAME is required: make user-remove NAME=ann))"

users: setup ## List users and their roles
	@$(RUN) users

dead-letters: setup ## List the dead letters: messages that failed permanently
	@$(RUN) dead-letters

retry: setup ## Requeue the dead letters of a queue, or one: QUEUE=orders.import [ID=<message ID>]
	@$(RUN) retry "$(or $(QUEUE),$(error QUEUE is required: make retry QUEUE=orders.import))" $(ID)

discard: setup ## Delete the dead letters of a queue, or one: QUEUE=orders.import [ID=<message ID>]
	@$(RUN) discard "$(or $(QUEUE),$(error QUEUE is required: make discard QUEUE=orders.import))" $(ID)

load-data: setup ## Load the sample factories and sprockets, or the files in FILE=...
	@$(RUN) load-data $(FILE)

backup: setup ## Copy all data into a folder, while the stack runs: [TO=backups/monday]
	@$(RUN) backup $(if $(TO),"$(TO)")

restore: setup ## Replace all data by that of a backup after confirmation: FROM=backups/monday [SKIP=1000] [YES=1]
	@$(RUN) restore "$(or $(FROM),$(error FROM is required: make restore FROM=backups/monday))" $(if $(SKIP),--skip "$(SKIP)") $(if $(filter 1,$(YES)),--yes)

rotate-passwords: setup ## Replace the passwords of all servers while the stack runs (ADMIN=1: also ADMIN_PASSWORD)
	@$(RUN) rotate-passwords $(if $(filter 1,$(ADMIN)),--administrator)

lint: setup ## Check style, types, import rules and the OpenAPI documents
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m mypy --python-version 3.10 client/src
	@.venv/bin/lint-imports
	@$(PY) tests-e2e/conventions/language.py
	@sh deploy/lint/openapi.sh

test: setup ## Run the tests for a change: all but faults, fuzzing, slow tests and most journeys (ARGS=...)
	@$(PYTEST) -m "not (fault or fuzz or slow or extended)" $(ARGS)

test-long: setup ## Run the tests that `make test` leaves out, except for the longest (ARGS=...)
	@$(PYTEST) -m "(fault or fuzz or slow) and not extended" $(ARGS)

test-all: setup ## Run all tests, and measure coverage (ARGS=...)
	@$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

test-faults: setup ## Inject faults under load; print what was lost or slow ([SEED=...] [ROUNDS=...] [FAULTS=kill-*])
	@PYTHONPATH=tests-e2e:deploy/local:deploy/compose $(PY) -m quintet_faults --stack $(STACK) $(if $(SEED),--seed "$(SEED)") $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(FAULTS),--faults "$(FAULTS)")

bench: setup ## Measure what requests cost, here and in other applications (ARGS=--quick: a few rounds)
	@$(PY) bench/run.py $(ARGS)

screenshots: setup ## Take screenshots of the console into build/screenshots (ARGS=--docs: and docs/images)
	@PYTHONPATH=tests-e2e $(PY) tests-e2e/screenshots.py $(ARGS)

setup: ## Create or update .venv
	@sh deploy/setup.sh

pins: setup ## Update the pinned versions from the version ranges (ARGS=--upgrade: to the newest)
	@sh deploy/pins.sh $(ARGS)

openapi: setup ## Regenerate every openapi.yaml from its code, and the generated parts of the client
	@for folder in *-service; do service=$${folder%-service}; \
	    DATABASE_URL=postgresql://unused $(PY) -m $${service}_service openapi > $$folder/openapi.yaml || exit 1; done
	@SERVICES=none $(PY) -m console_service openapi > gateway/console/openapi.yaml
	@$(PY) client/generate.py

dashboards: setup ## Regenerate the dashboards of Grafana from their code
	@$(PY) deploy/observability

release: setup ## Build wheels (dist/) and images of the version in VERSION, and tag the commit
	@sh deploy/release.sh

env: setup ## Create .env and the other files that `docker compose` reads, without starting anything
	@$(PY) deploy/compose env

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | while IFS='	' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

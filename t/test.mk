# Targets for testing and showing: all of them can start on a machine that has nothing yet (t/setup.sh).
#
#   make test [ONLY="t/001_harness.pl ..."]    everything, or these TAP files with the test build
#   make test [STEPS="arrows regress"]         some of t/run.pl's steps
#   make test OTHER_PG_CONFIG="/opt/17/bin/pg_config ..."     other majors of PostgreSQL, for the tests that need two
#   make matrix [MAJORS="17 18"] [ONLY=...] [STEPS=...]    the same on other majors of PostgreSQL (t/matrix.sh)
#   make demo [KEEP=1]                         the main case on three servers, to look at
#   make torture [MINUTES=10] [SEED=1] [SERVERS=3|5] [MISTAKE=NO_FENCE] [FAULTS="cut pause"]     t/900_torture.pl, longer
#   make torture MISTAKE=ACK_EARLY [SITUATIONS=...]     t/910_planted.pl: what was made to provoke that mistake
#   make bench [PARTS="network loopback idle gate fingerprint analyze"] [BLOCKS=30] [IDLE=60]     what it costs (docs/performance.md)
#   make tools [TOOLS="knex sqitch"] [SCHEMAS=/path]     t/tools.pl: real migration tools against a real group
#   make schemas DIR=/path [CHANGES=20] [SEED=1]     t/schemas.pl: drift in schemas of your own, a file of SQL each
#   make replay DIR=/path [VIA=mixed] [SEED=1] [FAULTS=10] [REVERTS=20]     t/replay.pl: a history of migrations, with cuts and restarts
#   make check-migrations DIR=/path [LEVEL=unsafe|caution|down] [FIRST=n] [LAST=n] [DRY_RUN=off]     t/check-migrations.pl, for pipelines (docs/pipelines.md)
#   make coverage PGSRC=/path [PLAY="triggers domain"] [FROM=create_index] [PARTS=suite]    t/coverage.pl: PostgreSQL's own regression scripts (its source tree) in a group
#   make matrix DIR=/path ONLY=t/coverage.pl    t/coverage.pl, t/replay.pl, t/schemas.pl on other majors; MAJORS and their own variables as above

# When make is killed, t/run.pl goes with it, and with that everything in the sandbox.  The caller's locale may be one that
# is not installed: perl and others complain of that in the middle of what they say.
RUN = LANG=C LC_ALL=C exec setpriv --pdeathsig KILL perl t/run.pl

.PHONY: test matrix demo bench torture schemas tools replay check-migrations coverage arrows
test:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh jq promtool prometheus-postgres-exporter
	@PG_CONFIG="$(PG_CONFIG)" STEPS="$(STEPS)" $(RUN) $(ONLY)

matrix:
	@PG_CONFIG="$(PG_CONFIG)" STEPS="$(STEPS)" ONLY="$(ONLY)" DIR="$(if $(DIR),$(abspath $(DIR)))" VIA="$(VIA)" SEED="$(SEED)" \
		FAULTS="$(FAULTS)" REVERTS="$(REVERTS)" PLAY="$(PLAY)" FROM="$(FROM)" PARTS="$(PARTS)" t/matrix.sh $(MAJORS)

demo:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@PG_CONFIG="$(PG_CONFIG)" STEPS=demo KEEP="$(KEEP)" $(RUN)

bench:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh valgrind
	@PG_CONFIG="$(PG_CONFIG)" STEPS=bench PARTS="$(PARTS)" BLOCKS="$(BLOCKS)" IDLE="$(IDLE)" $(RUN)

# Ten million steps of the simulator first, a minute of each fuzzer, which leaves no log; then real servers, with links that can be made slow, and time for the last fault to end.
# A mistake without faults: what was made for it.
torture: MINUTES ?= 10
torture:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
ifneq ($(if $(FAULTS),,$(MISTAKE)$(SITUATIONS)),)
	@(PG_CONFIG="$(PG_CONFIG)" MISTAKE="$(MISTAKE)" SITUATIONS="$(SITUATIONS)" $(RUN) t/910_planted.pl) && \
		sed -n 's/^# found: //p' build/log/tap/910_planted.tap
else
	@$(if $(MISTAKE)$(FAULTS),,$(MAKE) -s simulate LONG=10000000)
	@$(if $(MISTAKE)$(FAULTS),,$(MAKE) -s fuzz MINUTES=1 TARGETS=)
	@PG_CONFIG="$(PG_CONFIG)" MINUTES="$(MINUTES)" SEED="$(SEED)" SERVERS="$(SERVERS)" MISTAKE="$(MISTAKE)" FAULTS="$(FAULTS)" \
		CLIENTS="$(CLIENTS)" PROXIED=1 SD_TEST_FILE_TIMEOUT=$$(($(MINUTES) * 60 + 900)) $(RUN) t/900_torture.pl
endif

schemas:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@PG_CONFIG="$(PG_CONFIG)" SCHEMAS="$(abspath $(DIR))" CHANGES="$(CHANGES)" SEED="$(SEED)" SD_TEST_FILE_TIMEOUT=1800 $(RUN) t/schemas.pl

replay:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@(PG_CONFIG="$(PG_CONFIG)" HISTORY="$(abspath $(DIR))" VIA="$(VIA)" SEED="$(or $(SEED),1)" FAULTS="$(or $(FAULTS),10)" \
		REVERTS="$(or $(REVERTS),20)" FIRST="$(or $(FIRST),1)" $(if $(LAST),LAST="$(LAST)") SD_TEST_FILE_TIMEOUT=3600 $(RUN) t/replay.pl); \
		status=$$?; grep -qs '^# replay: ' build/log/tap/replay.tap || tail -n 40 build/log/tap/regress_log_replay; \
		sed -n 's/^# replay: //p' build/log/tap/replay.tap; exit $$status

# Only the report: what servers and the build said is in a log, which is shown where there is no report.
check-migrations:
	@test -d "$(DIR)" || { echo 'make check-migrations DIR=/path/to/migrations: "$(DIR)" is no directory' >&2; exit 2; }
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@mkdir -p build; rm -f build/log/tap/check-migrations.tap; touch build/check-migrations.log; \
	(PG_CONFIG="$(PG_CONFIG)" HISTORY="$(abspath $(DIR))" LEVEL="$(LEVEL)" FIRST="$(FIRST)" LAST="$(LAST)" DRY_RUN="$(DRY_RUN)" SD_TEST_FILE_TIMEOUT=3600 \
		$(RUN) t/check-migrations.pl) > build/check-migrations.log 2>&1; status=$$?; \
		grep -qs '^# json: ' build/log/tap/check-migrations.tap || \
			tail -n 40 build/check-migrations.log build/log/tap/check-migrations.tap build/log/tap/regress_log_check-migrations; \
		sed -n 's/^# check: //p' build/log/tap/check-migrations.tap; \
		sed -n 's/^# json: //p' build/log/tap/check-migrations.tap > build/check-migrations.json; exit $$status

coverage:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@(PG_CONFIG="$(PG_CONFIG)" PGSRC="$(abspath $(PGSRC))" PLAY="$(PLAY)" FROM="$(FROM)" PARTS="$(PARTS)" SD_TEST_FILE_TIMEOUT=7200 $(RUN) t/coverage.pl); \
		status=$$?; sed -n 's/^# coverage: //p' build/log/tap/coverage.tap; sed -n 's/^# table: //p' build/log/tap/coverage.tap > build/coverage.md; exit $$status

# Tools from npm in the versions of t/tools/package-lock.json, without running any script of theirs; from where npm is told to get them.
node = build/tools/node
tools:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh sqitch libdbd-pg-perl nodejs npm
	@cmp -s t/tools/package-lock.json $(node)/node_modules/of || { mkdir -p $(node) && cp t/tools/package.json t/tools/package-lock.json $(node) && \
		npm ci --prefix $(node) --ignore-scripts --no-audit --no-fund --loglevel=error && cp t/tools/package-lock.json $(node)/node_modules/of; }
	@PG_CONFIG="$(PG_CONFIG)" TOOLS="$(TOOLS)" SCHEMAS="$(abspath $(SCHEMAS))" SD_TOOLS="$(abspath $(node))" SD_TEST_FILE_TIMEOUT=1800 $(RUN) t/tools.pl

arrows:
	@perl t/arrows.pl src

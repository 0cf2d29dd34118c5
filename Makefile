# schemadrift: PGXS build. Targets for people: all, install, demo, test, matrix, tools, schemas, replay, check-migrations, coverage,
# torture, bench, arrows, unit, simulate, model, check-static, sanitize, valgrind, fuzz.
EXTENSION   = schemadrift
EXTVERSION  = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" schemadrift.control)
MODULE_big  = schemadrift
PG_CONFIG  ?= pg_config

# Folders are the architecture (docs/architecture.md); every .c below them is part of the library.
FOLDERS     = consensus causality gate analysis ddl store peer worker functions
SOURCES     = $(sort $(wildcard src/*.c) $(foreach f,$(FOLDERS),$(wildcard src/$(f)/*.c)))
OBJS        = $(SOURCES:.c=.o)

# The newest version's script is made of fragments; scripts of released versions are kept as they were, and an upgrade
# script from each of them to the next has fragments where it says "-- include FILE".
SQL_PARTS   = $(sort $(wildcard src/sql/*.sql))
SQL_INSTALL = src/sql/build/$(EXTENSION)--$(EXTVERSION).sql
SQL_UPGRADE = $(patsubst src/sql/upgrade/%,src/sql/build/%,$(wildcard src/sql/upgrade/*.sql))
DATA        = $(wildcard src/sql/released/*.sql)
DATA_built  = $(SQL_INSTALL) $(SQL_UPGRADE)
EXTRA_CLEAN = src/sql/build src/analysis/rules_data.h build

REGRESS      = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
REGRESS_OPTS = --inputdir=. --load-extension=schemadrift

override with_llvm = no
PG_CPPFLAGS = -Isrc -I$(shell $(PG_CONFIG) --includedir) -DSD_VERSION='"$(EXTVERSION)"'
PG_CFLAGS   = -std=gnu11 -Wall -Wextra -Werror $(if $(SD_TESTING),-DSD_TESTING)
SHLIB_LINK  = -lpq -lpthread -lm
# SD_SANITIZE=1, SD_FUZZ=1: other builds of the same sources, for the checks of t/checks.mk
include $(if $(SD_SANITIZE)$(SD_FUZZ),t/instrument.mk)

# These install PostgreSQL where it is missing, and arrows needs none: only they can do without it here.
INSTALLING   = test torture demo bench tools matrix schemas replay check-migrations coverage arrows check-static sanitize valgrind fuzz
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else ifeq ($(filter $(INSTALLING),$(MAKECMDGOALS)),)
$(error $(PG_CONFIG) --pgxs names no file: install PostgreSQL's server development files, or set PG_CONFIG)
endif

# Warnings are errors in our code only: the server's headers count as system headers.
override CPPFLAGS := $(subst -I$(includedir_server),-isystem $(includedir_server),$(CPPFLAGS))

# Every object depends on every header: the tree is small, and a stale object is a bad bug to look for.
# But for the one that is made, which only one file includes.
$(OBJS): $(sort $(filter-out %/rules_data.h,$(wildcard src/*.h src/*/*.h))) Makefile

# The compatibility matrix as static data.
src/analysis/rules_data.h: src/analysis/rules.tsv src/analysis/rules.pl
	perl src/analysis/rules.pl $< > $@.new
	mv $@.new $@

src/analysis/rules.o: src/analysis/rules_data.h

$(SQL_INSTALL): $(SQL_PARTS) Makefile schemadrift.control
	mkdir -p $(@D)
	cat $(SQL_PARTS) > $@

$(SQL_UPGRADE): src/sql/build/%.sql: src/sql/upgrade/%.sql $(SQL_PARTS) Makefile
	mkdir -p $(@D)
	awk '/^-- include / { f = "src/sql/" $$3; n = 0; while ((getline line < f) > 0) { print line; n++ } close(f); \
		if (n == 0) { print FILENAME ": no fragment " f > "/dev/stderr"; exit 1 } next } \
		{ print }' $< > $@.new
	mv $@.new $@

# Unit tests, simulator and model of the pure core; everything else that tests.
include t/core.mk t/test.mk t/checks.mk

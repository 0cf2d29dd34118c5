# Checks of the C code that are asked for, not part of "make test": docs/verification.md says what they found.
#
#   make check-static [FILES="src/x.c"]    clang-tidy, cppcheck and scan-build over src/
#   make sanitize [ONLY="t/x.pl ..."]  regress, or these TAP files, with AddressSanitizer and UBSan in the server
#   make valgrind [ONLY="t/x.pl ..."]  the same under memcheck, and the pure core
#   make fuzz [MINUTES=1] [TARGETS="entry notes"]    libFuzzer in a server, for what reads bytes from outside

.PHONY: check-static sanitize valgrind fuzz
check-static:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh clang clang-tidy cppcheck scan-build
	@PG_CONFIG="$(PG_CONFIG)" FILES="$(FILES)" t/static

fuzz: MINUTES ?= 1
fuzz:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh clang libclang-rt-dev
	@PG_CONFIG="$(PG_CONFIG)" STEPS=fuzz MINUTES="$(MINUTES)" TARGETS="$(TARGETS)" $(RUN)

sanitize:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh
	@PG_CONFIG="$(PG_CONFIG)" STEPS=sanitize $(RUN) $(ONLY)

valgrind:
	@PG_CONFIG="$(PG_CONFIG)" t/setup.sh valgrind
	@mkdir -p $(CORE_BUILD)
	$(CORE_CC) -std=c11 -O1 -g -DSD_TESTING -Isrc -o $(CORE_BUILD)/unit-plain $(wildcard t/unit/*.c) $(CORE_SOURCES) -lm
	valgrind --quiet --error-exitcode=1 --leak-check=full $(CORE_BUILD)/unit-plain
	@PG_CONFIG="$(PG_CONFIG)" STEPS=valgrind $(RUN) $(ONLY)

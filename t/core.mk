# The pure core's own tests: unit, simulate, model.  They need a C compiler (and spin), no server.
#
#   make unit
#   make simulate [STEPS=n] [SEED=n]     STEPS: how many steps without a mistake; SEED: the first seed
#   make simulate LONG=10000000          so many steps without a mistake, and nothing else
#   build/core/simulate SEED             replay one schedule and print its trace
#   make model

CORE_CC      = gcc
CORE_BUILD   = build/core
CORE_CFLAGS  = -std=c11 -O2 -g -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
               -DSD_TESTING -Isrc
CORE_SOURCES = $(sort $(wildcard src/consensus/*.c src/causality/*.c))
CORE_HEADERS = $(sort $(wildcard src/consensus/*.h src/causality/*.h t/simulator/*.h t/unit/*.h))
CORE_OBJS    = $(patsubst src/%.c,$(CORE_BUILD)/%.o,$(CORE_SOURCES))
UNIT_OBJS    = $(patsubst t/unit/%.c,$(CORE_BUILD)/units/%.o,$(sort $(wildcard t/unit/*.c)))
SIM_OBJS     = $(patsubst t/simulator/%.c,$(CORE_BUILD)/simulator/%.o,$(sort $(wildcard t/simulator/*.c)))

$(CORE_BUILD)/%.o: src/%.c $(CORE_HEADERS) t/core.mk
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_CFLAGS) -c -o $@ $<

$(CORE_BUILD)/simulator/%.o: t/simulator/%.c $(CORE_HEADERS) t/core.mk
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_CFLAGS) -c -o $@ $<

$(CORE_BUILD)/units/%.o: t/unit/%.c $(CORE_HEADERS) t/core.mk
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_CFLAGS) -c -o $@ $<

$(CORE_BUILD)/unit: $(UNIT_OBJS) $(CORE_OBJS)
	$(CORE_CC) $(CORE_CFLAGS) -o $@ $^ -lm

$(CORE_BUILD)/simulate: $(SIM_OBJS) $(CORE_OBJS)
	$(CORE_CC) $(CORE_CFLAGS) -o $@ $^ -lm

.PHONY: unit simulate model
unit: $(CORE_BUILD)/unit
	$(CORE_BUILD)/unit

simulate: $(CORE_BUILD)/simulate
	$(CORE_BUILD)/simulate --check $(if $(LONG),--only --steps $(LONG)) $(if $(STEPS),--steps $(STEPS)) \
		$(if $(SEED),--seed $(SEED))

model:
	t/model/check $(CORE_BUILD)/model

# Builds of the library that watch it: SD_SANITIZE=1 and SD_FUZZ=1, both with SD_TESTING=1.  Included by the Makefile.
#
# Such a library needs its sanitizer's runtime in the server before anything else (LD_PRELOAD, t/lib/watched/): t/run.pl
# does that, and puts an ordinary library in its place again when it is done.

# -fsanitize=alignment is part of undefined; -fwrapv, which PostgreSQL is built with, makes overflow of integers no mistake
WATCH_CFLAGS = -O1 -U_FORTIFY_SOURCE -fno-omit-frame-pointer -fsanitize=address,undefined

ifdef SD_SANITIZE
PG_CFLAGS   += $(WATCH_CFLAGS)
SHLIB_LINK  += -fsanitize=address,undefined
endif

# libFuzzer is in the library, next to what it drives (t/fuzz/driver.c), and is called by a function in SQL.  -Bsymbolic: the
# counters of what is covered are libFuzzer's, not those of the same names in the sanitizer's runtime.
ifdef SD_FUZZ
override CC  = clang
SOURCES     += $(wildcard t/fuzz/*.c)
# flags of the compiler that PostgreSQL was built with, which may be another
PG_CFLAGS   += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes $(WATCH_CFLAGS) -fsanitize=fuzzer-no-link \
               -shared-libasan -fsanitize-address-use-after-return=never
SHLIB_LINK  += -fsanitize=address,undefined -shared-libasan -Wl,-Bsymbolic \
               $(wildcard $(shell $(CC) -print-runtime-dir)/libclang_rt.fuzzer_no_main-$(shell uname -m).a) -lstdc++
endif

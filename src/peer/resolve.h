/*
 * resolve.h: host names to addresses without blocking the coordinator's loop.
 *
 * PQconnectStart calls getaddrinfo() in its caller: against a silent name server that is ten seconds and
 * more in which no vote of any region is heard.  There is no portable asynchronous resolver that obeys
 * nsswitch.conf, so a lookup is a detached thread that does nothing but call getaddrinfo().
 *
 * A thread in a PostgreSQL process is safe here for these reasons, and only while they hold:
 * - Signals.  It is created with every signal blocked (and the caller's mask restored), so SIGHUP, SIGTERM,
 *	 SIGUSR1 and the latch's SIGURG stay with the main thread.  The signalfd that latches read from
 *	 is the process's and sees what was sent to the process.  The same is true in 15 to 18.
 * - State.  It calls getaddrinfo(), close() and free(); no palloc, no elog, no errno message, no PostgreSQL
 *	 function or variable.  glibc's malloc and resolver are made for this.
 * - Fork.  Only the postmaster forks servers, and only the postmaster checks that it has no second thread
 *	 (pthread_is_threaded_np(), macOS); we never start a lookup there.  The coordinator does not fork; a
 *	 backend's popen() for COPY ... PROGRAM is a fork followed by exec, which threads do not harm.
 * - Environment.  getaddrinfo() may read RES_OPTIONS and the like with getenv().  PostgreSQL sets the
 *	 environment at start, later only when lc_messages changes by a reload.
 * - Exit.  A thread that is still waiting for its name server does not keep the process: it ends with it.  It
 *	 touches nothing that an exit callback frees.
 *
 * Ownership: an SdLookup belongs to two, the loop and the thread, counted; whoever lets go last frees it.
 * The thread owns the pipe's write end and says "finished" by closing it; the loop owns the read end.
 * So the loop may forget a lookup at any time.  Results are written before the close and read only
 * after it was seen.
 *
 * At most SD_LOOKUP_MAX threads exist in a process, forgotten ones counted: a name server that never answers
 * costs a bounded number of threads, and peers that need no lookup go on without it.
 *
 * Process: the coordinator, and backends for client.c.  No locking besides the counts, which are atomic.
 */
#ifndef SD_RESOLVE_H
#define SD_RESOLVE_H

#include "compat.h"

#include <netdb.h>

#define SD_LOOKUP_MAX	64

typedef struct SdLookup SdLookup;

/* Does this element of "host" need a name server?  Not: empty, a socket directory, a numeric address. */
extern bool sd_lookup_needed(const char *host);

/*
 * Start looking up n names.  NULL if it cannot be started: *reason then says why (a constant text).  The names
 * are copied.
 */
extern SdLookup *sd_lookup_start(int n, const char *const *names, const char **reason);

/* Readable when finished.  Valid until sd_lookup_release. */
extern int	sd_lookup_socket(const SdLookup *lookup);

/* Has it finished?  Never blocks. */
extern bool sd_lookup_finished(SdLookup *lookup);

/* Of a finished lookup: getaddrinfo's result for name i, NULL with *error (an EAI_ code) if it failed. */
extern const struct addrinfo *sd_lookup_result(const SdLookup *lookup, int i, int *error);

/* Let go of it, finished or not. */
extern void sd_lookup_release(SdLookup *lookup);

#endif							/* SD_RESOLVE_H */

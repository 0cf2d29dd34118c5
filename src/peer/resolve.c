/*
 * resolve.c: host names to addresses without blocking the coordinator's loop.
 *
 * resolve.h says why there is a thread, why that is safe, and who owns what.
 */
#include "compat.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libpq/pqcomm.h"
#include "storage/fd.h"

#include "peer/resolve.h"

struct SdLookup
{
	atomic_int	owners;			/* loop and thread */

	/* the loop's */
	int			read_end;
	bool		finished;

	/* the thread's, until write_end is closed */
	int			write_end;
	struct addrinfo **results;
	int		   *errors;

	/* constant */
	int			n;
	char	  **names;
};

static atomic_int n_threads;

/* Called by both owners: only libc below here. */
static void
lookup_let_go(SdLookup *lookup)
{
	if (atomic_fetch_sub(&lookup->owners, 1) > 1)
		return;
	for (int i = 0; i < lookup->n; i++)
	{
		if (lookup->results && lookup->results[i])
			freeaddrinfo(lookup->results[i]);
		if (lookup->names)
			free(lookup->names[i]);
	}
	free(lookup->results);
	free(lookup->errors);
	free(lookup->names);
	free(lookup);
}

/* The thread.  One name after another: they belong to one peer, which waits for all of them anyway. */
static void *
lookup_thread(void *arg)
{
	SdLookup   *lookup = arg;

	for (int i = 0; i < lookup->n; i++)
	{
		struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

		lookup->errors[i] = getaddrinfo(lookup->names[i], NULL, &hints, &lookup->results[i]);
		if (lookup->errors[i] != 0)
			lookup->results[i] = NULL;
	}
	close(lookup->write_end);
	lookup_let_go(lookup);
	atomic_fetch_sub(&n_threads, 1);
	return NULL;
}

bool
sd_lookup_needed(const char *host)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
	struct addrinfo *addresses;

	if (host[0] == '\0' || is_unixsock_path(host))
		return false;
	if (getaddrinfo(host, NULL, &hints, &addresses) != 0)
		return true;
	freeaddrinfo(addresses);
	return false;
}

static SdLookup *
lookup_alloc(int n, const char *const *names)
{
	SdLookup   *lookup = calloc(1, sizeof(SdLookup));
	bool		complete;

	if (lookup == NULL)
		return NULL;
	atomic_init(&lookup->owners, 1);
	lookup->read_end = lookup->write_end = -1;
	lookup->n = n;
	lookup->names = calloc(n, sizeof(char *));
	lookup->results = calloc(n, sizeof(struct addrinfo *));
	lookup->errors = calloc(n, sizeof(int));
	complete = lookup->names && lookup->results && lookup->errors;
	for (int i = 0; complete && i < n; i++)
		complete = (lookup->names[i] = strdup(names[i])) != NULL;
	if (complete)
		return lookup;
	lookup_let_go(lookup);
	return NULL;
}

/* Two descriptors, known to fd.c, not inherited by programs. */
static bool
lookup_open_pipe(SdLookup *lookup)
{
	int			fds[2];

	if (!AcquireExternalFD())
		return false;
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		return false;
	}
	if (pipe(fds) != 0)
	{
		ReleaseExternalFD();
		ReleaseExternalFD();
		return false;
	}
	(void) fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	(void) fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	(void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
	lookup->read_end = fds[0];
	lookup->write_end = fds[1];
	return true;
}

/* The thread inherits the mask in force here, so it never takes a signal. */
static bool
lookup_start_thread(SdLookup *lookup)
{
	pthread_attr_t attr;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	before;
	int			error;

	if (pthread_attr_init(&attr) != 0)
		return false;
	sigfillset(&all);
	error = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (error == 0)
		error = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (error == 0)
	{
		atomic_fetch_add(&lookup->owners, 1);
		atomic_fetch_add(&n_threads, 1);
		error = pthread_create(&thread, &attr, lookup_thread, lookup);
		if (error != 0)
		{
			atomic_fetch_sub(&lookup->owners, 1);
			atomic_fetch_sub(&n_threads, 1);
		}
		(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_attr_destroy(&attr);
	return error == 0;
}

SdLookup *
sd_lookup_start(int n, const char *const *names, const char **reason)
{
	SdLookup   *lookup;

	if (atomic_load(&n_threads) >= SD_LOOKUP_MAX)
	{
		*reason = "too many name lookups are still unanswered";
		return NULL;
	}
	lookup = lookup_alloc(n, names);
	if (lookup == NULL)
	{
		*reason = "out of memory";
		return NULL;
	}
	if (!lookup_open_pipe(lookup))
	{
		lookup_let_go(lookup);
		*reason = "too many open files";
		return NULL;
	}
	if (!lookup_start_thread(lookup))
	{
		close(lookup->write_end);	/* no thread owns it */
		sd_lookup_release(lookup);
		*reason = "could not start a thread to look up the name";
		return NULL;
	}
	return lookup;
}

int
sd_lookup_socket(const SdLookup *lookup)
{
	return lookup->read_end;
}

bool
sd_lookup_finished(SdLookup *lookup)
{
	char		byte;

	/* nothing is ever written: end of file is the message */
	if (!lookup->finished && read(lookup->read_end, &byte, 1) == 0)
	{
		atomic_thread_fence(memory_order_acquire);
		lookup->finished = true;
	}
	return lookup->finished;
}

const struct addrinfo *
sd_lookup_result(const SdLookup *lookup, int i, int *error)
{
	Assert(lookup->finished && i >= 0 && i < lookup->n);
	*error = lookup->errors[i];
	return lookup->results[i];
}

/* The write end is counted as given back although the thread of a forgotten lookup may hold it a little longer. */
void
sd_lookup_release(SdLookup *lookup)
{
	close(lookup->read_end);
	ReleaseExternalFD();
	ReleaseExternalFD();
	lookup_let_go(lookup);
}

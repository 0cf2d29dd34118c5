/*
 * first.c: makes AddressSanitizer begin before any other library's constructor runs.
 *
 * GnuTLS, which the server gets with libldap, calls bindtextdomain() in its constructor.  If the sanitizer's first
 * allocation happens in there, glibc's lock around it is never let go of, and the server hangs in main().  Linked with
 * -z initfirst by whoever starts a watched server (t/run.pl, t/fuzz/run).
 */
#include <stdlib.h>

static void __attribute__((constructor))
first(void)
{
	void	   *volatile p = malloc(1);

	free(p);
}

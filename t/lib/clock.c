/*
 * clock.c: a wall clock that a test moves (SchemaDrift::Region, set_clock), preloaded into a server.
 *
 * The file that SD_TEST_CLOCK names holds seconds to add, eight bytes.  Other clocks are the kernel's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *added;

__attribute__((constructor)) static void
find(void)
{
	const char *path = getenv("SD_TEST_CLOCK");
	int			fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*added), PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	added = at == MAP_FAILED ? NULL : at;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int			result = (int) syscall(SYS_clock_gettime, id, ts);

	if (result == 0 && added && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += *added;
	return result;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *t)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return (time_t) -1;
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}

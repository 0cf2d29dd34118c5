/*
 * main.c: the simulator's command line.
 *
 *	simulate SEED [--mistake NAME]				replay one schedule, with its trace
 *	simulate --check [--steps N] [--seed N]		many schedules without a mistake, then each mistake until caught
 *	simulate --check --only [--steps N] ...		the first half of that, for long runs
 *	simulate --mistake NAME [--seed N]			look for the first schedule that catches it, and show its end
 *	with --harm: look longer for what a user would notice of a mistake; or for that only
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Mistake
{
	const char *name;
	uint32_t	flag;
	bool		expected;		/* to be caught here; the rest is the model's, or not reachable yet */
	const char *note;
} Mistake;

static const Mistake mistakes[] = {
	{"ANNOUNCE_FIRST", SD_MISTAKE_ANNOUNCE_FIRST, true, ""},
	{"ACK_EARLY", SIM_MISTAKE_ACK_EARLY, true, ""},
	{"SELF_FIRST", SIM_MISTAKE_SELF_FIRST, true, ""},
	{"SELF_READ", SIM_MISTAKE_SELF_READ, true, ""},
	{"NO_SELFCHECK", SD_MISTAKE_NO_SELFCHECK, true, ""},
	{"BALLOT_REUSE", SD_MISTAKE_BALLOT_REUSE, true, ""},
	{"REF_LAST", SD_MISTAKE_REF_LAST, true, ""},
	{"REF_RETRY", SD_MISTAKE_REF_RETRY, true, ""},
	{"REF_MAJ", SD_MISTAKE_REF_MAJ, true, ""},
	{"LIE_ABORT", SD_MISTAKE_LIE_ABORT, true, ""},
	{"ASYNC_COMMIT", SIM_MISTAKE_ASYNC_COMMIT, true, ""},
	{"NO_CAS", SIM_MISTAKE_NO_CAS, true, ""},
	{"LEASE_REUSE", SD_MISTAKE_LEASE_REUSE, true, ""},
	{"KEEP_OVER_CONFIG", SD_MISTAKE_KEEP_OVER_CONFIG, true, ""},
	{"PAUSED_HOLDER", SIM_MISTAKE_PAUSED_HOLDER, true, ""},
	{"PREP_ONE", SIM_MISTAKE_PREP_ONE, false, "the model finds it"},
	{"NO_FENCE", SIM_MISTAKE_NO_FENCE, true, ""},
	{"REJOIN_READ", SIM_MISTAKE_REJOIN_READ, true, ""},
	{"LIFE_REUSE", SIM_MISTAKE_LIFE_REUSE, true, ""},
	{"COUNT_ANY_INCARNATION", SD_MISTAKE_COUNT_ANY_INCARNATION, true, ""},
	{"ALPHA2", SIM_MISTAKE_ALPHA2, true, ""},
};

static const char *const happenings[SIM_HAPPENINGS] = {"config entries chosen", "admissions", "rejoins",
	"servers came back with less", "found void by vote_seq alone", "failovers", "old primaries lived on",
	"changes that require a voter",
	"granted by a kept ballot", "promises not given because of a lease", "leases handed over",
	"transactions ended for another region"};

/* "caught within a stated number of schedules": far more than the rarest takes */
#define HUNT_SCHEDULES		20000
#define NOT_EXPECTED		300		/* for what is not expected to be caught */
#define HARM_SCHEDULES		200		/* what a user would notice is looked for, and need not be found */

#define N_MISTAKES ((int) (sizeof(mistakes) / sizeof(mistakes[0])))

static World world;

typedef struct Tally
{
	int64_t		schedules;
	int64_t		steps;
	int64_t		changes;
	int64_t		outcomes[4];
	int64_t		times[SIM_HAPPENINGS];
} Tally;

static bool
run(uint64_t seed, uint32_t flags, bool harm_only, FILE *trace, Tally *tally)
{
	bool		ok = sim_run(&world, seed, flags, harm_only, trace);

	tally->schedules++;
	tally->steps += world.steps;
	for (int i = 1; i <= world.n_attempts; i++)
	{
		if (world.attempt[i]->noop)
			continue;
		tally->changes++;
		tally->outcomes[world.attempt[i]->outcome]++;
	}
	for (int i = 0; i < SIM_HAPPENINGS; i++)
		tally->times[i] += world.times[i];
	sim_free_all(&world);
	return ok;
}

/* the end of a failing schedule, for a person */
static void
show_end(uint64_t seed, const Mistake *mistake, bool harm_only, int lines)
{
	FILE	   *file = tmpfile();
	Tally		tally = {0};
	char		line[1000];
	long		n = 0;
	long		total = 0;

	if (file == NULL)
	{
		perror("tmpfile");
		exit(2);
	}
	run(seed, mistake != NULL ? mistake->flag : 0, harm_only, file, &tally);
	rewind(file);
	while (fgets(line, sizeof(line), file) != NULL)
		total++;
	rewind(file);
	while (fgets(line, sizeof(line), file) != NULL)
	{
		if (n++ >= total - lines)
			fputs(line, stdout);
	}
	fclose(file);
	printf("(all of it: simulate %llu%s%s%s)\n", (unsigned long long) seed, harm_only ? " --harm" : "",
		   mistake != NULL ? " --mistake " : "",
		   mistake != NULL ? mistake->name : "");
}

/* First schedule that catches it, 0 if none did. */
static uint64_t
hunt(const Mistake *mistake, bool harm_only, uint64_t first_seed, int64_t schedules, Tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	for (uint64_t seed = first_seed; tally->schedules < schedules; seed++)
	{
		if (!run(seed, mistake->flag, harm_only, NULL, tally))
			return seed;
	}
	return 0;
}

static int
check(uint64_t first_seed, int64_t steps, bool only, int64_t harm_schedules)
{
	Tally		tally = {0};
	int			caught = 0;
	int			missed = 0;
	clock_t		begin = clock();

	for (uint64_t seed = first_seed; tally.steps < steps; seed++)
	{
		if (!run(seed, 0, false, NULL, &tally))
		{
			printf("seed %llu violates invariant %d: %s\n\n", (unsigned long long) seed, world.violated, world.violation);
			show_end(seed, NULL, false, 80);
			printf("simulate: 0 passed, 1 failed\n");
			return 1;
		}
	}
	printf("no mistake: %lld steps in %lld schedules, %lld changes (%lld succeeded, %lld definitely not, %lld unknown at first), "
		   "0 violations, %.0f s\n", (long long) tally.steps, (long long) tally.schedules, (long long) tally.changes,
		   (long long) tally.outcomes[CLIENT_SUCCESS], (long long) tally.outcomes[CLIENT_DEFINITE],
		   (long long) tally.outcomes[CLIENT_UNKNOWN], (double) (clock() - begin) / CLOCKS_PER_SEC);

	for (int i = 0; i < SIM_HAPPENINGS; i++)
		printf("%s%lld %s", i == 0 ? "  " : ", ", (long long) tally.times[i], happenings[i]);
	printf("\n");
	if (only)
	{
		printf("simulate: 1 passed, 0 failed\n");
		return 0;
	}

	printf("\n%-21s %-9s %9s %9s   %-4s %9s   %s\n", "mistake", "invariant", "schedules", "steps", "harm", "steps", "the harm");
	for (int i = 0; i < N_MISTAKES; i++)
	{
		const Mistake *m = &mistakes[i];
		uint64_t	seed = hunt(m, false, first_seed, m->expected ? HUNT_SCHEDULES : NOT_EXPECTED, &tally);
		Tally		harm;

		if (seed == 0)
		{
			printf("%-21s %-9s %9lld %9lld   %s\n", m->name, m->expected ? "MISSED" : "-", (long long) tally.schedules,
				   (long long) tally.steps, m->note);
			if (m->expected)
				missed++;
			continue;
		}
		if (m->expected)
			caught++;
		printf("%-21s %-9d %9lld %9lld   ", m->name, world.violated, (long long) tally.schedules, (long long) tally.steps);
		seed = hunt(m, true, first_seed, harm_schedules, &harm);
		if (seed == 0)
			printf("%-4s %9lld\n", "-", (long long) harm.steps);
		else
			printf("%-4d %9lld   %s (seed %llu)\n", world.violated, (long long) harm.steps, world.violation,
				   (unsigned long long) seed);
		fflush(stdout);
	}
	printf("\n(%.0f s in all)\nsimulate: %d passed, %d failed\n", (double) (clock() - begin) / CLOCKS_PER_SEC, caught + 1, missed);
	return missed == 0 ? 0 : 1;
}

static const Mistake *
find_mistake(const char *name)
{
	for (int i = 0; i < N_MISTAKES; i++)
	{
		if (strcmp(mistakes[i].name, name) == 0)
			return &mistakes[i];
	}
	fprintf(stderr, "simulate: no mistake is called \"%s\"\n", name);
	exit(2);
}

static const char usage[] = "usage: simulate SEED [--mistake NAME] | --check [--only] [--harm] [--steps N] [--seed N]\n"
	"       | --mistake NAME [--harm] [--seed N]\n";

int
main(int argc, char **argv)
{
	const Mistake *mistake = NULL;
	uint64_t	seed = 1;
	int64_t		steps = 5000000;
	bool		checking = false;
	bool		replay = false;
	bool		only = false;
	bool		harm = false;
	Tally		tally = {0};

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--check") == 0)
			checking = true;
		else if (strcmp(argv[i], "--only") == 0)
			only = true;
		else if (strcmp(argv[i], "--harm") == 0)
			harm = true;
		else if (strcmp(argv[i], "--mistake") == 0 && i + 1 < argc)
			mistake = find_mistake(argv[++i]);
		else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
			steps = atoll(argv[++i]);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (argv[i][0] >= '0' && argv[i][0] <= '9')
		{
			seed = strtoull(argv[i], NULL, 10);
			replay = true;
		}
		else
		{
			fputs(usage, stderr);
			return 2;
		}
	}
	if (checking)
		return check(seed, steps, only, harm ? HUNT_SCHEDULES : HARM_SCHEDULES);
	if (replay)
	{
		bool		ok = run(seed, mistake != NULL ? mistake->flag : 0, harm, stdout, &tally);

		printf("%s after %lld steps\n", ok ? "no violation" : "violation", (long long) tally.steps);
		return ok ? 0 : 1;
	}
	if (mistake != NULL)
	{
		seed = hunt(mistake, harm, seed, HUNT_SCHEDULES, &tally);
		if (seed == 0)
		{
			printf("%s was not caught in %lld steps\n", mistake->name, (long long) tally.steps);
			return 1;
		}
		show_end(seed, mistake, harm, 80);
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}

/*
 * report.c: many schedules, and the table of mistakes, printed as docs/verification.md has it.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "Each must be caught within a stated number of schedules", of its bias where it has one. */
typedef struct Mistake
{
	const char *name;
	uint64_t	flag;
	Bias		bias;
	int64_t		within;
} Mistake;

static const Mistake mistakes[] = {
	{"ANNOUNCE_FIRST", SD_MISTAKE_ANNOUNCE_FIRST, BIAS_DRAWN, 10},
	{"ACK_EARLY", SIM_MISTAKE_ACK_EARLY, BIAS_DRAWN, 100},
	{"SELF_FIRST", SIM_MISTAKE_SELF_FIRST, BIAS_DRAWN, 100},
	{"SELF_READ", SIM_MISTAKE_SELF_READ, BIAS_DRAWN, 100},
	{"NO_SELFCHECK", SD_MISTAKE_NO_SELFCHECK, BIAS_DRAWN, 100},
	{"BALLOT_REUSE", SD_MISTAKE_BALLOT_REUSE, BIAS_OWN_ROWS, 2000},
	{"REF_LAST", SD_MISTAKE_REF_LAST, BIAS_OVERTAKE, 2000},
	{"REF_RETRY", SD_MISTAKE_REF_RETRY, BIAS_OVERTAKE, 1000},
	{"REF_MAJ", SD_MISTAKE_REF_MAJ, BIAS_DRAWN, 2000},
	{"LATE_ANSWER", SD_MISTAKE_LATE_ANSWER, BIAS_LATE, 1000},
	{"LIE_ABORT", SD_MISTAKE_LIE_ABORT, BIAS_DRAWN, 100},
	{"ASYNC_COMMIT", SIM_MISTAKE_ASYNC_COMMIT, BIAS_DRAWN, 10},
	{"NO_CAS", SIM_MISTAKE_NO_CAS, BIAS_DRAWN, 100},
	{"LEASE_REUSE", SD_MISTAKE_LEASE_REUSE, BIAS_DRAWN, 100},
	{"KEEP_OVER_CONFIG", SD_MISTAKE_KEEP_OVER_CONFIG, BIAS_MEMBERS, 1000},
	{"PAUSED_HOLDER", SIM_MISTAKE_PAUSED_HOLDER, BIAS_HOLDER, 1000},
	{"PREP_ONE", SIM_MISTAKE_PREP_ONE, BIAS_OVERTAKE, 20000},
	{"NO_FENCE", SIM_MISTAKE_NO_FENCE, BIAS_DRAWN, 10},
	{"REJOIN_READ", SIM_MISTAKE_REJOIN_READ, BIAS_DRAWN, 100},
	{"LIFE_REUSE", SIM_MISTAKE_LIFE_REUSE, BIAS_RESTORE, 2000},
	{"COUNT_ANY_INCARNATION", SD_MISTAKE_COUNT_ANY_INCARNATION, BIAS_LIVES, 2000},
	{"WALL_CLOCK", SIM_MISTAKE_WALL_CLOCK, BIAS_DRAWN, 100},
	{"UNFAIR", SIM_MISTAKE_UNFAIR, BIAS_FAIR, 10},
	{"NO_55006", SIM_MISTAKE_NO_55006, BIAS_DRAWN, 100},
	{"SKIP_ALONE", SIM_MISTAKE_SKIP_ALONE, BIAS_DRAWN, 100},
	{"SKIP_UNTRIED", SIM_MISTAKE_SKIP_UNTRIED, BIAS_DRAWN, 1000},
	{"RESULT_EARLY", SIM_MISTAKE_RESULT_EARLY, BIAS_DRAWN, 100},
	{"SECOND_RESULT", SIM_MISTAKE_SECOND_RESULT, BIAS_DRAWN, 100},
	{"STALE_REPORT", SIM_MISTAKE_STALE_REPORT, BIAS_DRAWN, 1000},
	{"ALPHA2", SIM_MISTAKE_ALPHA2, BIAS_MEMBERS, 1000},
};

#define N_MISTAKES ((int) (sizeof(mistakes) / sizeof(mistakes[0])))

/* What a user would notice is looked for among so many schedules, or a tenth more than it took to be seen; it need not be found. */
#define HARM_SCHEDULES		200
#define FAIR_ROUNDS			1000
#define HARM_LONG			20000

/* what is wrong, by the numbers of protocol.md's invariants */
static const char *const invariants[] = {
	[1] = "two entries at one version", [2] = "without a majority", [3] = "a promise goes down",
	[4] = "one ballot with two entries", [5] = "a counted vote is lost", [6] = "who lost votes votes",
	[7] = "not executed as the log says", [8] = "the client was told wrong", [9] = "not in the order of success",
	[10] = "success without a majority", [12] = "no end, or not equal in the end",
	[14] = "times do not go up along the log", [15] = "online entries", [16] = "somebody starves"
};

static const char *const happenings[SIM_HAPPENINGS] = {
	[SIM_CONFIG_CHOSEN] = "config entries chosen", [SIM_ADMITTED] = "admissions", [SIM_REJOINED] = "rejoins",
	[SIM_LOST_STATE] = "servers came back with less", [SIM_TOLD_VOID] = "found void by vote_seq alone",
	[SIM_FAILED_OVER] = "failovers", [SIM_OLD_PRIMARY_LIVED] = "old primaries lived on", [SIM_CLONED] = "clones",
	[SIM_REQUIRED] = "changes that require a voter", [SIM_UNFIT] = "servers could not vote for a moment",
	[SIM_OUTRUN] = "\"no vote\" to a prepare came after the accept was sent", [SIM_BY_LEASE] = "granted by a kept ballot",
	[SIM_LEASED] = "promises not given because of a lease", [SIM_HANDED_OVER] = "leases handed over",
	[SIM_DOOMED] = "transactions ended for another region", [SIM_JUMPED] = "jumps of clocks",
	[SIM_HALTED] = "regions could not apply a version", [SIM_SKIPPED] = "versions skipped", [SIM_TAKEN_BACK] = "versions taken back",
	[SIM_ONLINE] = "online entries done", [SIM_NOT_WELL] = "failed or cancelled"
};

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
run(uint64_t seed, const Options *options, Tally *tally)
{
	bool		ok = sim_run(&world, seed, options);

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

/* One schedule, traced to options->trace. */
int
sim_report_one(uint64_t seed, const Options *options)
{
	Tally		tally = {0};
	bool		ok = run(seed, options, &tally);

	printf("%s after %lld steps\n", ok ? "no violation" : "violation", (long long) tally.steps);
	return ok ? 0 : 1;
}

/* the end of a failing schedule, for a person */
static void
show_end(uint64_t seed, const char *mistake, const Options *options, int lines)
{
	Options		traced = *options;
	Tally		tally = {0};
	char		line[1000];
	long		n = 0;
	long		total = 0;

	traced.trace = tmpfile();
	if (traced.trace == NULL)
	{
		perror("tmpfile");
		exit(2);
	}
	run(seed, &traced, &tally);
	rewind(traced.trace);
	while (fgets(line, sizeof(line), traced.trace) != NULL)
		total++;
	rewind(traced.trace);
	while (fgets(line, sizeof(line), traced.trace) != NULL)
	{
		if (n++ >= total - lines)
			fputs(line, stdout);
	}
	fclose(traced.trace);
	printf("(all of it: simulate %llu%s%s%s)\n", (unsigned long long) seed, options->harm_only ? " --harm" : "",
		   mistake != NULL ? " --mistake " : "", mistake != NULL ? mistake : "");
}

/* First schedule that violates something, 0 if none did. */
static uint64_t
hunt(const Options *options, uint64_t first_seed, int64_t schedules, Tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	for (uint64_t seed = first_seed; tally->schedules < schedules; seed++)
	{
		if (!run(seed, options, tally))
			return seed;
	}
	return 0;
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

/* The mistake, and, unless another is given, the bias that it is looked for with. */
void
sim_report_mistake(const char *name, Options *options, bool biased)
{
	const Mistake *m = find_mistake(name);

	options->mistakes = m->flag;
	if (!biased)
		options->bias = m->bias;
}

int
sim_report_hunt(const char *name, uint64_t first_seed, const Options *options)
{
	Tally		tally;
	uint64_t	seed = hunt(options, first_seed, HARM_LONG, &tally);

	if (seed == 0)
	{
		printf("%s was not caught in %lld schedules, %lld steps\n", name, (long long) tally.schedules, (long long) tally.steps);
		return 1;
	}
	show_end(seed, name, options, 80);
	printf("%s: %lld schedules, %lld steps\n", name, (long long) tally.schedules, (long long) tally.steps);
	return 0;
}

/* "1234567" as people read it; a few buffers, so that one line can show several */
static const char *
thousands(int64_t n)
{
	static char buffers[8][32];
	static int	next;
	char	   *buffer = buffers[next++ % 8];
	char		digits[24];
	int			length = snprintf(digits, sizeof(digits), "%lld", (long long) n);
	char	   *p = buffer;

	for (int i = 0; i < length; i++)
	{
		if (i > 0 && (length - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return buffer;
}

/* Schedules without a mistake.  False if one violates something. */
static bool
check_protocol(uint64_t first_seed, int64_t steps, Tally *tally)
{
	Options		options = {.bias = BIAS_DRAWN};
	clock_t		begin = clock();

	for (uint64_t seed = first_seed; tally->steps < steps; seed++)
	{
		if (!run(seed, &options, tally))
		{
			printf("seed %llu violates invariant %d: %s\n\n", (unsigned long long) seed, world.violated, world.violation);
			show_end(seed, NULL, &options, 80);
			return false;
		}
	}
	printf("No mistake: %s steps in %s schedules, %s changes (%s succeeded, %s definitely not, %s unknown at first), "
		   "no violation, %.0f s.\n", thousands(tally->steps), thousands(tally->schedules), thousands(tally->changes),
		   thousands(tally->outcomes[CLIENT_SUCCESS]), thousands(tally->outcomes[CLIENT_DEFINITE]),
		   thousands(tally->outcomes[CLIENT_UNKNOWN]), (double) (clock() - begin) / CLOCKS_PER_SEC);
	for (int i = 0; i < SIM_HAPPENINGS; i++)
		printf("%s%s %s", i == 0 ? "Among them: " : ", ", thousands(tally->times[i]), happenings[i]);
	printf(".\n");
	return true;
}

/* Schedules in which everybody always wants something, until each had its turn so often.  False if somebody starves. */
static bool
check_fairness(uint64_t first_seed, int rounds, Tally *tally)
{
	Options		options = {.bias = BIAS_FAIR};
	int			had = 0;
	int			most = 0;
	int			again = 0;
	int64_t		longest = 0;

	for (uint64_t seed = first_seed; had < rounds; seed++)
	{
		if (!run(seed, &options, tally))
		{
			printf("seed %llu violates invariant %d: %s\n\n", (unsigned long long) seed, world.violated, world.violation);
			show_end(seed, NULL, &options, 80);
			return false;
		}
		had += sim_fair_rounds(&world);
		again += world.fair.again;
		if (world.fair.most > most)
			most = world.fair.most;
		if (world.fair.longest > longest)
			longest = world.fair.longest;
	}
	printf("Fairness: %s rounds of three to five regions that always want something, in %s schedules: while one waited, others got at "
		   "most %d changes, and nobody waited longer than %.1f s; %s answers \"nothing happened\".\n", thousands(had),
		   thousands(tally->schedules), most, (double) longest / SECOND, thousands(again));
	return true;
}

/* One row of the table.  False if the mistake was missed. */
static bool
check_mistake(const Mistake *m, uint64_t first_seed, int64_t harm_schedules)
{
	Options		options = {.mistakes = m->flag, .bias = m->bias};
	Tally		tally;
	bool		caught = hunt(&options, first_seed, m->within, &tally) != 0;

	printf("| %s |%s%s | ", m->name, m->bias == BIAS_DRAWN ? "" : " ", m->bias == BIAS_DRAWN ? "" : sim_bias_names[m->bias]);
	if (!caught)
	{
		printf("MISSED | %s, of %s | %s | | |\n", thousands(tally.schedules), thousands(m->within), thousands(tally.steps));
		return false;
	}
	printf("%d, %s | %s, of %s | %s | ", world.violated, invariants[world.violated], thousands(tally.schedules),
		   thousands(m->within), thousands(tally.steps));

	options.harm_only = true;
	if (harm_schedules < tally.schedules + tally.schedules / 10)
		harm_schedules = tally.schedules + tally.schedules / 10;
	if (hunt(&options, first_seed, harm_schedules, &tally) != 0)
		printf("%d, %s | %s |\n", world.violated, invariants[world.violated], thousands(tally.steps));
	else
		printf("not in %s schedules | |\n", thousands(tally.schedules));
	fflush(stdout);
	return true;
}

int
sim_report(uint64_t first_seed, int64_t steps, bool only, bool harm)
{
	Tally		tally = {0};
	int			passed = 0;
	int			failed = 0;
	clock_t		begin = clock();

	if (!check_protocol(first_seed, steps, &tally))
	{
		printf("simulate: 0 passed, 1 failed\n");
		return 1;
	}
	passed++;
	if (!only)
	{
		Tally		fair = {0};

		if (check_fairness(first_seed, FAIR_ROUNDS, &fair))
			passed++;
		else
			failed++;
		printf("\n| mistake | bias | first seen by invariant | schedules | steps | harm seen by | steps |\n"
			   "|---|---|---|---|---|---|---|\n");
		printf("| none | | none | %s | %s | | |\n", thousands(tally.schedules), thousands(tally.steps));
		for (int i = 0; i < N_MISTAKES; i++)
		{
			if (check_mistake(&mistakes[i], first_seed, harm ? HARM_LONG : HARM_SCHEDULES))
				passed++;
			else
				failed++;
		}
		printf("\n%.0f s in all.\n", (double) (clock() - begin) / CLOCKS_PER_SEC);
	}
	printf("simulate: %d passed, %d failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}

/*
 * main.c: the simulator's command line.
 *
 *	simulate SEED [--mistake NAME] [--bias NAME]	replay one schedule, with its trace
 *	simulate --check [--steps N] [--seed N]		many schedules without a mistake, then each mistake until caught
 *	simulate --check --only [--steps N] ...		the first half of that, for long runs
 *	simulate --mistake NAME [--seed N]			look for the first schedule that catches it, and show its end
 *	with --harm: look longer for what a user would notice of a mistake; or for that only
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: simulate SEED [--mistake NAME] [--bias NAME] | --check [--only] [--harm] [--steps N] [--seed N]\n"
	"       | --mistake NAME [--bias NAME] [--harm] [--seed N]\n";

static Bias
find_bias(const char *name)
{
	for (int i = 0; i < BIASES; i++)
	{
		if (strcmp(sim_bias_names[i], name) == 0)
			return (Bias) i;
	}
	fprintf(stderr, "simulate: no bias is called \"%s\"\n", name);
	exit(2);
}

int
main(int argc, char **argv)
{
	const char *mistake = NULL;
	Options		options = {.bias = BIAS_DRAWN};
	bool		biased = false;
	uint64_t	seed = 1;
	int64_t		steps = 5000000;
	bool		checking = false;
	bool		replay = false;
	bool		only = false;

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--check") == 0)
			checking = true;
		else if (strcmp(argv[i], "--only") == 0)
			only = true;
		else if (strcmp(argv[i], "--harm") == 0)
			options.harm_only = true;
		else if (strcmp(argv[i], "--mistake") == 0 && i + 1 < argc)
			mistake = argv[++i];
		else if (strcmp(argv[i], "--bias") == 0 && i + 1 < argc)
		{
			options.bias = find_bias(argv[++i]);
			biased = true;
		}
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
		return sim_report(seed, steps, only, options.harm_only);
	if (mistake != NULL)
		sim_report_mistake(mistake, &options, biased);
	if (replay)
	{
		options.trace = stdout;
		return sim_report_one(seed, &options);
	}
	if (mistake != NULL)
		return sim_report_hunt(mistake, seed, &options);
	fputs(usage, stderr);
	return 2;
}

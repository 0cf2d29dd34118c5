/*
 * mistakes.c: deliberate mistakes, switched on in a running server; see consensus/mistakes.h.
 *
 * Test build only.  The setting is read from the configuration files alone, so that every process of a server makes
 * the same ones.
 */
#include "compat.h"

#include "utils/guc.h"

#include "consensus/mistakes.h"
#include "waitpoint.h"

#ifdef SD_TESTING

#define ONE(name) {#name, SD_MISTAKE_##name}

static const struct
{
	const char *name;
	uint32		bit;
}			mistakes[] = {
	ONE(ANNOUNCE_FIRST), ONE(NO_SELFCHECK), ONE(BALLOT_REUSE), ONE(REF_LAST), ONE(REF_RETRY), ONE(REF_MAJ), ONE(LIE_ABORT),
	ONE(LEASE_REUSE), ONE(KEEP_OVER_CONFIG), ONE(COUNT_ANY_INCARNATION), ONE(NO_FENCE), ONE(ASYNC_COMMIT), ONE(NO_CAS),
	ONE(SELF_FIRST), ONE(ACK_EARLY), ONE(SELF_READ), ONE(PREP_ONE), ONE(REJOIN_READ), ONE(PAUSED_HOLDER), ONE(LIFE_REUSE),
	ONE(REPLICATED_STATE), ONE(LATE_ANSWER),
};

static char *setting = NULL;

/* The bits of a list of names; the word that is none of them, or NULL. */
static const char *
parse(const char *list, uint32 *bits)
{
	*bits = 0;
	for (const char *word = list + strspn(list, " ,"); *word; word += strspn(word, " ,"))
	{
		size_t		size = strcspn(word, " ,");
		uint32		bit = 0;

		for (size_t i = 0; i < lengthof(mistakes); i++)
			if (strlen(mistakes[i].name) == size && strncmp(mistakes[i].name, word, size) == 0)
				bit = mistakes[i].bit;
		if (bit == 0)
			return word;
		*bits |= bit;
		word += size;
	}
	return NULL;
}

static bool
check_mistakes(char **value, void **extra, GucSource source)
{
	uint32		bits;
	const char *wrong = parse(*value, &bits);

	(void) extra;
	(void) source;
	if (wrong)
		GUC_check_errdetail("\"%s\" is not a mistake.", wrong);
	return wrong == NULL;
}

static void
assign_mistakes(const char *value, void *extra)
{
	(void) extra;
	(void) parse(value, &sd_mistakes);
}

void
sd_testing_mistakes_init(void)
{
	DefineCustomStringVariable("schemadrift.testing_mistakes", "Deliberate mistakes that this server makes.",
							   NULL, &setting, "", PGC_SIGHUP, 0, check_mistakes, assign_mistakes, NULL);
}

#endif

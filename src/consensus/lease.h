/*
 * lease.h: a ballot that is kept for the next change, the promise of others not to disturb it for a while, and the line of
 * those who wait for it.
 *
 * Two things, and only the first has to do with safety:
 *
 * The kept ballot (SdKept).  A promise is for a version and all later ones, so who had the promises of a majority and
 * then had its own entry chosen may propose the next version under the same ballot, without phase 1 (Lamport, "The
 * Part-Time Parliament"; Chandra et al., "Paxos Made Live").  "A (version, ballot) carries one entry, ever": if the
 * ballot was spent on an entry that is not known to be chosen, it is dropped.  It lives in the coordinator's memory
 * and is never read back from tables.
 *
 * The lease proper: who has promised also grants, for a time, not to promise to another region.  It saves a region that
 * works from being disturbed, and shows who leads.  No rule of safety depends on it or on any clock: a holder that
 * was paused is stopped by the promise check of its final step, as anybody is.
 *
 * Times are int64 microseconds of one machine's monotonic clock; they are never compared between machines.
 */
#ifndef SD_LEASE_H
#define SD_LEASE_H

#include "consensus/ballot.h"
#include "consensus/membership.h"
#include "consensus/proposer.h"

/* ---- the grantor: one acceptor's word, in memory that is shared by whoever answers its calls ---- */

typedef struct SdGrant
{
	SdBallot	ballot;			/* whose region is the holder; none: nothing was granted */
	int64_t		until;
} SdGrant;

/*
 * Must this acceptor refuse to promise to the caller, because another region has a lease?  over: that holder has given up
 * its leases up to the ballot's round, as it told the caller; may be none.
 */
extern bool sd_grant_forbids(const SdGrant *grant, const char *caller, const SdBallot *over, int64_t now);

/*
 * A ballot was promised or accepted here.  duration 0: its proposer wants no lease.  Under another ballot the old
 * lease is gone, because the old ballot is.
 */
extern void sd_grant_note(SdGrant *grant, const SdBallot *ballot, int64_t duration, int64_t now);

/* ---- the holder ---- */

typedef struct SdLease
{
	SdBallot	ballot;			/* of the round whose calls ask for grants; none: there is no lease */
	int64_t		until[SD_MAX_REGIONS];	/* by index in the configuration, as counted here */
	bool		overtaken;		/* a voter has promised more: it would refuse every entry under this ballot */
	SdKept		kept;			/* what can be used when no round is under way */
} SdLease;

extern void sd_lease_drop(SdLease *lease);

/* A round begins under a ballot: grants of another one are worth nothing. */
extern void sd_lease_begin(SdLease *lease, const SdBallot *ballot);

/*
 * A voter has promised, accepted or renewed under the ballot.  The holder counts from the moment it sent, and 9/10 of
 * the duration: it must stop relying on the grant before the grantor forgets it, whatever the clocks' speeds.
 */
extern void sd_lease_granted(SdLease *lease, const SdBallot *ballot, int voter, int64_t sent, int64_t duration);

/* Until when a quorum's grants run; 0: never had one. */
extern int64_t sd_lease_until(const SdLease *lease, const SdConfig *config);

/*
 * A voter has refused a ballot because of a higher promise, as it says at once or long after the others made a majority.
 * The ballot goes on winning by the others, and that voter never votes again: so it is not used for another version.
 */
extern void sd_lease_refused(SdLease *lease, const SdBallot *ballot, const SdBallot *promise);

/* A round of this ballot is over: keep the ballot if it may be kept. */
extern void sd_lease_keep(SdLease *lease, const SdProposer *p);

/*
 * May the kept ballot be used for this version without phase 1, and does the lease still run?  config: the one in force
 * for that version; under another one than the promises were given in they would have to be counted again.
 */
extern bool sd_lease_usable(const SdLease *lease, const SdConfig *config, int64_t version, int64_t now);

/* ---- the line: who waits for the lease that a region holds, in memory that is shared by whoever answers calls ---- */

#define SD_LINE_PLACES		SD_MAX_REGIONS
#define SD_LINE_PATIENCE	INT64_C(2000000)	/* who has not asked again for so long waits no more */

typedef struct SdWaiting
{
	char		region[SD_NAME_SIZE];
	int64_t		since;
	int64_t		heard;
} SdWaiting;

typedef struct SdLine
{
	int			n;
	SdWaiting	place[SD_LINE_PLACES];
} SdLine;

typedef enum SdLineVerdict
{
	SD_LINE_KEPT,				/* the holder still needs it */
	SD_LINE_OTHER,				/* another region waits longer */
	SD_LINE_GIVEN,				/* the caller may have it */
	SD_LINE_ENDED				/* ... because the open change of the holder has had its time: that ends */
} SdLineVerdict;

/* Who has waited longest; NULL: nobody waits. */
extern const SdWaiting *sd_line_first(const SdLine *line, int64_t now);

/*
 * A region that waits since then asks for the lease.  handed: it was given up already; in_use: a change of the holder's is under
 * way; overstayed: and has been open for longer than it is protected.  Who is given it leaves the line.
 */
extern SdLineVerdict sd_line_ask(SdLine *line, const char *region, int64_t since, bool handed, bool in_use, bool overstayed,
								 int64_t now);

#endif							/* SD_LEASE_H */

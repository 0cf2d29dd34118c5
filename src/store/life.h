/*
 * life.h: what a region knows of its own life: one incarnation on one server, or being void.
 *
 * "A region that may have lost a promise must not vote."  Table self says who the region is; table life, one row, says
 * what proves that this database still is that region, and why it is void if it is.  Functions need a scope (sql.h)
 * unless they say otherwise; those that write lock self first, as the store's order demands.
 */
#ifndef SD_STORE_LIFE_H
#define SD_STORE_LIFE_H

#include "compat.h"

#include "store/state.h"

/* Causes of being void, as they are kept. */
#define SD_VOID_SERVER		"server"	/* as SdDiffers */
#define SD_VOID_DATABASE	"database"
#define SD_VOID_TOKEN		"token"
#define SD_VOID_PROMOTED	"promoted"
#define SD_VOID_VOTES		"votes"		/* another region remembers more votes than this database does */
#define SD_VOID_CLONE		"clone"		/* two servers speak in the name of this region */
#define SD_VOID_BALLOT		"ballot"	/* two entries came under one ballot */
#define SD_VOID_LOG			"log"		/* the log here is damaged */
#define SD_VOID_DECLARED	"declared"	/* void_identity() */
#define SD_VOID_REPLACED	"replaced"	/* another server took this region's place */
#define SD_VOID_GENERATION	"generation"	/* the group was made anew without this region */

extern const char *sd_void_cause(SdDiffers differs);

/* ---- token ---- */

/*
 * The file that schemadrift.token_file names lies outside the data directory, so that a copy of the directory lacks it.
 * False: the setting is empty, or the file cannot be read.  Needs a transaction, no scope.
 */
extern bool sd_token_read(uint8 *hash);

/* Why the token kept with the identity is not this server's; NULL: it is. */
extern const char *sd_token_wrong(const bytea *kept);

/* ---- the row ---- */

/* Write the row of an identity that has none yet: at init, join, and after an upgrade of ours. */
extern void sd_life_begin(const SdSelf *self, int64 since);

/* Keep the token of a server that had none when its identity was written. */
extern void sd_life_keep_token(const uint8 *hash);

/* Before the commit of a vote: it will not wait for a synchronous standby, so a standby may lack it. */
extern void sd_life_note_replication(void);

/*
 * Durable: this database does not vote any more under that incarnation (0: whatever it is).  It is given the life in
 * whose name it may ask to come back: "generated durably before it asks".  The caller's commit must be flushed.
 */
extern void sd_life_end(int32 incarnation, const char *cause, const char *reason);

/*
 * A void region's life anew: the one it has was made on another server than this one.  A copy of a void region that asked
 * under the original's life would take up an incarnation that has voted already.  The caller's commit must be flushed.
 */
extern void sd_life_renew(void);

/*
 * "When that is in its log and applied": the row and self become those of a new incarnation on this server; nothing it
 * voted for above that version is kept, its promise is.
 */
extern void sd_life_adopt(int32 generation, int32 incarnation, int64 since, const char *state);

/* confirm_failover(): the same incarnation goes on, on this server's timeline. */
extern void sd_life_confirm(const char *state);

/* ---- what others say ---- */

/*
 * Another region remembers so many votes of this (region, incarnation).  More than this database knows of: rolled back, or
 * a copy; void, durably, and true.  self may be of a moment ago: it is read again before anything is concluded.
 */
extern bool sd_life_contradicted(const SdSelf *self, const char *by, int32 incarnation, int64 vote_seq);

/* Why this region does not vote yet although its identity is valid; NULL: it does.  No scope needed. */
extern const char *sd_life_unproved(const SdSelf *self);

/* The entry that put another incarnation in the place of ours; if there are several, the one that was made for us. */
typedef struct SdSuccessor
{
	int64		version;		/* 0: there is none */
	bool		ours;			/* it was made for the life of this database */
	int32		incarnation;	/* if so */
} SdSuccessor;

extern void sd_life_successor(const SdSelf *self, SdSuccessor *successor);

/* The first version at which the log here is not what its hashes say; 0: it is sound.  Reads all of it. */
extern int64 sd_log_damaged(void);

/* A prepared transaction that is older than this region's membership: a sentence; NULL: there is none. */
extern char *sd_old_prepared(char **remedy);

/* Is a transaction of this database prepared whose xid is older than this one? */
extern bool sd_prepared_before(TransactionId xid);

#endif							/* SD_STORE_LIFE_H */

/*
 * state.h: the rows of a region's state, read and written.
 *
 * Lock order, everywhere: digest (object.h) -> applied -> self -> acceptor -> accepted -> log, as far as needed, on the
 * latest row versions (FOR UPDATE in READ COMMITTED).  Functions that lock say so in their name.
 * All of them need a scope (sql.h).
 */
#ifndef SD_STORE_STATE_H
#define SD_STORE_STATE_H

#include "compat.h"

#include "nodes/pg_list.h"

#include "consensus/ballot.h"
#include "consensus/membership.h"
#include "store/entry.h"
#include "store/sql.h"

#define SD_REASON_SIZE 256

/* What of this server is not what it was when the region's identity was written. */
typedef enum SdDiffers
{
	SD_DIFFERS_NOTHING,
	SD_DIFFERS_SERVER,			/* another system identifier: pg_upgrade, a dump */
	SD_DIFFERS_DATABASE,		/* CREATE DATABASE ... TEMPLATE */
	SD_DIFFERS_TOKEN,			/* schemadrift.token_file is missing, or has other contents */
	SD_DIFFERS_TIMELINE			/* and nothing else does: promoted, or restored with recovery */
} SdDiffers;

/* self, and life: who this region is */
typedef struct SdSelf
{
	pg_uuid_t	group_id;
	int32		generation;
	char		region[SD_NAME_SIZE];
	int32		incarnation;
	int64		vote_seq;
	char	   *state;			/* voter, observer, witness, void */
	SdDiffers	differs;		/* from the server, database and token that it was written for, whatever the state */
	bool		valid;			/* nothing differs, and it was not declared void */
	char		mismatch[SD_REASON_SIZE];	/* why it is not valid, in words */

	/* of table life; all zero before the coordinator has written it */
	bool		has_life;
	pg_uuid_t	life;			/* of this incarnation; of a void region: of the one it asks for */
	bool		life_fits;		/* of a void region: it was made on this server as it is; a restored copy makes another */
	int64		since;			/* version of the entry that began the incarnation */
	bool		replicated;		/* each vote of it was committed with synchronous replication */
	bool		has_token;
	char		cause[16];		/* of being void: a word of SD_VOID_...; empty */
} SdSelf;

extern bool sd_self_read(SdSelf *self);	/* false: not in a group */

/* Is it in a group now, whatever this transaction's snapshot shows? */
extern bool sd_self_exists_now(void);
extern bool sd_self_lock(SdSelf *self);
extern void sd_self_lock_joined(SdSelf *self);	/* an error if this database is in no group */
extern void sd_self_insert(const pg_uuid_t *group_id, int32 generation, const char *region, int32 incarnation, const char *state);
extern void sd_self_set_role(const char *role);
extern void sd_self_count_vote(bool replicated);	/* as SdSelf has it */

/* acceptor: the promise */
extern void sd_promise_read(SdBallot *promised);	/* no lock: a hint */
extern void sd_promise_lock(SdBallot *promised);
extern void sd_promise_store(const SdBallot *promised);

/* accepted */
typedef struct SdAccepted
{
	int64		version;
	SdBallot	ballot;
	SdEntryRef	entry;
	bytea	   *bytes;
} SdAccepted;

extern bool sd_accepted_ballot(int64 version, SdBallot *ballot);	/* without a lock; false: nothing was accepted there */
extern List *sd_accepted_from(int64 version);	/* of SdAccepted *, ascending; all versions >= version */
extern void sd_accepted_store(int64 version, const SdBallot *ballot, const SdEntry *entry);
extern void sd_accepted_strip(int64 version);	/* its bytes are in the log now; the row stays as evidence */

/* log */
typedef struct SdHead
{
	int64		version;		/* 0: empty */
	SdChain		chain;			/* zeros at 0 */
} SdHead;

extern void sd_log_head(SdHead *head);
extern int64 sd_log_newest_hlc(void);	/* of the head's entry; 0: empty */
extern bool sd_log_find(int64 version, SdChain *chain, SdEntryRef *entry);	/* false: unknown here; either may be NULL */
extern SdEntry *sd_log_entry(int64 version);	/* NULL: unknown or pruned */
extern void sd_log_insert(int64 version, const SdEntry *entry, const SdChain *chain);
extern int64 sd_log_find_id(const pg_uuid_t *entry_id);	/* version or 0 */
extern int64 sd_log_next_dot(const char *origin, int32 incarnation);
extern void sd_log_clear(void);	/* before a join's copy */

/* applied */
typedef struct SdApplied
{
	int64		version;
	SdChain		chain;
	uint8		digest[SD_SHA_SIZE];
} SdApplied;

extern void sd_applied_read(SdApplied *applied);
extern void sd_applied_lock(SdApplied *applied);
extern void sd_applied_insert(const SdApplied *applied);
/* version - 1 -> version: one row, or an error that says the log was applied twice */
extern void sd_applied_advance(int64 version, const SdChain *chain, const uint8 *digest);
/* a change outside the log moved the schema */
extern void sd_applied_set_digest(const uint8 *digest);
extern void sd_execution_insert(int64 version, const char *state, TimestampTz since, int attempts, const char *reason);

/* attempts of this region */
extern void sd_attempt_insert(const pg_uuid_t *entry_id, int64 version, const char *name);	/* "": not known yet */
extern void sd_attempt_close(const pg_uuid_t *entry_id);
/* one for this version that nobody has judged: of a change under way, or of one that died with its process */
extern bool sd_attempt_is_open(int64 version);

/* the configuration in force for the next version, and members' addresses */
typedef struct SdMembers
{
	SdConfig	config;
	char	   *conninfo[SD_MAX_REGIONS];	/* as in config.member */
	int32		priority[SD_MAX_REGIONS];
	SdRole		wants[SD_MAX_REGIONS];	/* what it is to be; differs from its role until it is promoted */
	bool		stepped_down[SD_MAX_REGIONS];	/* it does not ask to be promoted: step_up() brings it back */
	char	   *suspended_by[SD_MAX_REGIONS];	/* who suspended it, when, and why; NULL: it is not suspended */
	char	   *suspended_at[SD_MAX_REGIONS];
	char	   *suspended_reason[SD_MAX_REGIONS];
	char	   *event;			/* what made it so, for NOTIFY: "suspend eu-west"; NULL: the baseline */
} SdMembers;

/* The payload of a baseline or config entry; errors where it is none.  Texts in the current context. */
extern void sd_members_parse(Jsonb *payload, int64 since, SdMembers *members);

extern void sd_members_read(SdMembers *members);
extern void sd_members_copy(SdMembers *to, const SdMembers *from);	/* texts to the current context */

/* A witness, also before it is promoted and after it stepped down: it has no schema, runs nothing, and is no origin. */
extern bool sd_members_is_witness(const SdMembers *members, int i);

/* Has the schema and is not suspended: barriers, wait_for() and the names that a change needs are about these. */
extern bool sd_members_serves(const SdMembers *members, int i);

/* One goes; the last takes its place. */
extern void sd_members_remove(SdMembers *members, int i);

/* Member i (or one more, i == n) is a new one: an observer, as every member is at first. */
extern void sd_members_put(SdMembers *members, int i, const char *region, int32 incarnation, const char *conninfo, SdRole wants);

extern char *sd_members_json(const SdMembers *members);	/* the array of a config entry's payload */

/* What all config entries of our log say of a region, and of one life of it. */
typedef struct SdMemberHistory
{
	int32		last_incarnation;	/* the highest it ever had; 0: never a member */
	int64		admitted_by;	/* version of the entry that began this incarnation; 0: never was a member */
	int64		removed_by;		/* version that took the region out of the group; 0: a member, or never was one */
	int64		replaced_by;	/* version that put another incarnation in its place; 0: none did */
} SdMemberHistory;

/* Version of the entry that removed this region from its group, in its own log; 0: it is a member. */
extern int64 sd_self_removed(const SdSelf *self);

extern void sd_members_history(const char *region, int32 incarnation, SdMemberHistory *history);

extern const char *sd_role_text(SdRole role);

/* the policy in force: the object of the newest policy entry; NULL when there is none */
extern Jsonb *sd_policy_read(void);

/*
 * The same as of the applied version: what must come out equal in every region may not look further ahead.  Before
 * anything is applied (a region that joins): the newest.
 */
extern Jsonb *sd_policy_applied(void);

/*
 * peer_address: addresses that are used here instead of those in the log.  The text names them all and differs when one
 * does; override puts them in place, texts of the current context.
 */
extern char *sd_addresses_text(void);
extern void sd_addresses_override(SdMembers *members);
extern void sd_address_set(const char *region, const char *conninfo);	/* NULL: as in the log again */

/* peer: the most ever heard */
extern int64 sd_peer_applied(const char *region, int32 incarnation);	/* highest version remembered; 0 none */
extern int64 sd_peer_vote_seq(const char *region, int32 incarnation);	/* highest remembered; 0 none */
extern void sd_peer_remember(const char *region, int32 incarnation, int64 applied, int64 vote_seq, int64 boot_id);
extern void sd_peer_count(const char *region, int32 incarnation, int64 vote_seq);	/* of votes alone */

extern void sd_bypass_insert(int64 n, const char *author, const char *mode, const char *reason, const char *command);

/* Tables are ours, logged and guarded, fsync is on...: why this region must not vote; NULL if it may. */
extern const char *sd_store_unfit(void);

#endif							/* SD_STORE_STATE_H */

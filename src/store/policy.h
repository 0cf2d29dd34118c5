/*
 * policy.h: the group's policy: what its keys mean, and what it says now.
 *
 * The policy is an object in the newest baseline or policy entry of the log, so every region that has the same log has
 * the same policy: {"mode": {"value": "coordinate", "version": 3, "by": "alice", "at": "..."}, ...}.  Adding
 * a key is adding a row to the table in policy_keys.c.
 */
#ifndef SD_STORE_POLICY_H
#define SD_STORE_POLICY_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "settings.h"

/* Which regions must agree in addition to a majority; both empty: none. */
typedef struct SdRequired
{
	bool		all;			/* every voter */
	List	   *regions;		/* of char * */
} SdRequired;

/* Who keeps the lease. */
typedef enum SdLeadership
{
	SD_LEADERSHIP_WORK,			/* who changes the schema */
	SD_LEADERSHIP_ROTATE,		/* each in its turn */
	SD_LEADERSHIP_PRIORITY		/* the reachable region of the highest priority */
} SdLeadership;

/* What no change may touch for the time being; all empty: nothing is locked. */
typedef struct SdPolicyLock
{
	bool		all;
	List	   *schemas;		/* of char * */
	List	   *objects;		/* patterns, of char * */
	TimestampTz until;			/* DT_NOEND: until the key is removed */
	char	   *reason;
} SdPolicyLock;

/* What becomes of a change that analysis judges badly. */
typedef enum SdReaction
{
	SD_REACTION_PASS,
	SD_REACTION_WARN,
	SD_REACTION_REFUSE
} SdReaction;

/* ... by the way on which it comes. */
typedef struct SdReactions
{
	SdReaction	apply;			/* apply(), apply_online() */
	SdReaction	plain;
} SdReactions;

/* A rule of analysis that does not count, for some objects or all, until a time. */
typedef struct SdException
{
	char	   *rule;
	List	   *objects;		/* patterns, of char *; NIL: all */
	char	   *reason;
	TimestampTz until;			/* DT_NOEND: until it is removed */
} SdException;

/* A whole policy: every key with the value in force. */
typedef struct SdPolicy
{
	SdDdlMode	mode;
	List	   *local;			/* patterns, of char * */
	List	   *history_tables; /* patterns, of char *; with "-" in front: not these */
	SdRequired	quorum;
	SdPolicyLock lock;
	bool		require_down;
	int64		require_dry_run_ms;	/* how old a dry run may be; -1: of any age, 0: none is needed */
	bool		roles;			/* coordinated, as far as a transaction can hold them; else each region's */
	bool		freeze_time;	/* as the option of a migration, where it does not say otherwise; for plain DDL, too */
	bool		auto_rejoin;
	bool		drift_warns;	/* an entry that leaves something else here than at its origin is applied all the same */
	SdReactions on_unsafe;
	SdReactions on_caution;
	List	   *exceptions;		/* of SdException */
	bool		gate_barriers;	/* what tightens waits until every serving region has applied what was before */
	int			max_lock_wait_ms;	/* 0: none */
	int			ddl_hold_limit_ms;	/* 0: not set; see sd_policy_hold_limit_ms() */
	SdLeadership leadership;
	const char *unknown;		/* a key whose value only a newer version understands; NULL: none */
	char	  **says;			/* by key, for people: its value, who set it, when; see sd_policy_says() */
} SdPolicy;

/*
 * policy: what sd_policy_read() (state.h) gave; NULL is a policy without any key.  No error; what is not understood has its
 * default, and `unknown` names the key: whoever refuses by policy must refuse then.  Lists and texts are made in
 * the current memory context and do not point into the JSON.
 */
extern void sd_policy_parse(Jsonb *json, SdPolicy *policy);

/* the policy's, or else this server's schemadrift.ddl_hold_limit */
extern int	sd_policy_hold_limit_ms(const SdPolicy *policy);

/* 'Policy "mode" is "observe", set by alice in version 7 at 2030-01-31T18:00:00+00:00.' */
extern const char *sd_policy_says(const SdPolicy *policy, const char *key);

/*
 * Does a lock, in force or not, cover this object?  name "": the schema as a whole, so with anything that is in it.  An
 * index or a trigger is its table's.
 */
extern bool sd_policy_lock_covers(const SdPolicyLock *lock, const char *schema, const char *name);

/* "*" is any number of any characters, all else is itself. */
extern bool sd_pattern_matches(const char *text, const char *pattern);

/* Is anything locked now? */
extern bool sd_policy_is_locked(const SdPolicy *policy);

/* the patterns of "local" alone */
extern List *sd_policy_local(Jsonb *json);

/* The value of "quorum", or of a migration's option "require"; false: it is none. */
extern bool sd_required_parse(Jsonb *value, SdRequired *required);

/* ---- the keys, one by one ---- */

typedef struct SdPolicyKey
{
	const char *name;
	const char *initial;		/* JSON: the value in force where none is set; NULL: there is none */
	const char *description;
	const char *wanted;			/* what a value must be, for the DETAIL of an error */
	bool		(*take) (Jsonb *value, SdPolicy *policy);	/* false: not a value of this key */
} SdPolicyKey;

extern const SdPolicyKey sd_policy_keys[];
extern const int sd_policy_n_keys;

extern const SdPolicyKey *sd_policy_key(const char *name);	/* NULL: unknown */

/*
 * Is it a value of this key?  Then it is in *policy, of which nothing else is filled.  What PostgreSQL does not read as an interval or a
 * time is none: also what another major does, or a region that does not keep to the rules has let in.
 */
extern bool sd_policy_legal(const SdPolicyKey *key, Jsonb *value, SdPolicy *policy);

/* One key of a policy.  False: not set; then only value is filled, or NULL where the key has no initial one. */
typedef struct SdPolicyValue
{
	Jsonb	   *value;
	int64		since;			/* version of the entry that set it */
	char	   *by;
	char	   *at;
} SdPolicyValue;

/* What a legal value is kept as: times without a time zone of their own mean another moment in each region. */
extern char *sd_policy_kept_as(const SdPolicyKey *key, Jsonb *value);

extern bool sd_policy_value(Jsonb *json, const SdPolicyKey *key, SdPolicyValue *value);

#endif							/* SD_STORE_POLICY_H */

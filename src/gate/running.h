/*
 * running.h: a statement of DDL under way, and what it touches while it runs.
 */
#ifndef SD_GATE_RUNNING_H
#define SD_GATE_RUNNING_H

#include "compat.h"

#include "catalog/objectaccess.h"
#include "tcop/utility.h"

#include "ddl/classify.h"

/* A statement of DDL under way, in the hook's own stack frame. */
typedef struct SdRunning
{
	struct SdRunning *outer;
	bool		owns_inner;		/* statements inside are part of this one */
	bool		collects;		/* its objects go to the change's touched set */
	bool		seen;			/* any object access: it did something */
	bool		seen_temporary;
	bool		seen_ordinary;
	bool		seen_other;		/* of a kind whose place was not looked at */
	List	   *unsettled;		/* ObjectAddress: made, not visible yet */
	bool		watches_made;	/* has what it made or altered to be looked at, once it is visible? */
	bool		watches_lock;	/* for policy "lock", and what it drops, too */
	CommandTag	tag;
	List	   *made;			/* then: ObjectAddress of what it made or altered */
} SdRunning;

/* The arguments of the hook, handed on as they are. */
typedef struct SdUtility
{
	PlannedStmt *pstmt;
	const char *query_string;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} SdUtility;

/* Hand it on to whoever is next; the second: it is maintenance, or none of ours, and what it does to catalogs is not suspect. */
extern void sd_running_pass_on(const SdUtility *u);
extern void sd_running_pass_by(const SdUtility *u);

/* Run a statement and watch what it touches. */
extern void sd_running_watch(const SdUtility *u, SdRunning *statement);

/* The innermost that is watched; NULL: none. */
extern const SdRunning *sd_running_statement(void);
extern bool sd_running_any(void);

/* From the hook: something was made, altered or is about to be dropped. */
extern void sd_running_object(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg);

/* Error if what it made is permanent, but would go with this session's temporary objects; and elsewhere cannot be made. */
extern void sd_running_refuse_leaning(const SdRunning *statement, const SdVerdict *verdict);

/* The extension itself: a member that vanishes without a word leaves the others one vote short. */
extern void sd_running_refuse_drop(void) pg_attribute_noreturn();

extern void sd_running_init(void);

#endif							/* SD_GATE_RUNNING_H */

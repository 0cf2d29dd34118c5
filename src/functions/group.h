/*
 * group.h: what the functions that make and change a group have in common.
 *
 * Runs in backends.
 */
#ifndef SD_FUNCTIONS_GROUP_H
#define SD_FUNCTIONS_GROUP_H

#include "compat.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "shared.h"
#include "store/protocol.h"
#include "store/state.h"

/* ---- group_check.c: arguments and circumstances; an error that says what is wrong ---- */

/* The text of an argument that may not be null. */
extern char *sd_group_text_arg(FunctionCallInfo fcinfo, int arg, const char *name);

extern void sd_group_check_region(const char *region);
extern void sd_group_check_conninfo(const char *conninfo);

/* The same for one that stays in this database. */
extern void sd_group_check_own_conninfo(const char *conninfo);

/* A conninfo without its secrets, to be shown; what cannot be parsed is not shown. */
extern char *sd_group_show_conninfo(const char *conninfo);
extern SdRole sd_group_check_role(const char *role);

/* Has the current user the rights of that role, which may not be there? */
extern bool sd_group_has_role(const char *role);

/* READ COMMITTED, no subtransaction, no standby, origin. */
extern void sd_group_check_session(const char *function);

/* No transaction block: the function leaves traces elsewhere that ROLLBACK does not take back. */
extern void sd_group_check_no_block(const char *function);

/* The members in force, texts in that context; in a scope. */
extern void sd_group_members(MemoryContext context, SdMembers *members);

/* This region is a member of a group (reads self and members, texts in the current context). */
extern void sd_group_require(SdSelf *self, SdMembers *members);

/* Index of a member; an error if there is none of that name. */
extern int	sd_group_find(const SdMembers *members, const char *region);

/* Without this region, somebody still has schema and vote; an error if not. */
extern void sd_group_require_voter(const SdMembers *members, const char *region);

/* Two voters: the group works, and stops when either is away.  A warning. */
extern void sd_group_warn_of_two(const SdMembers *members);

/*
 * This database is in no group, or what is left of one it was removed from can go: then it goes.  Takes the DDL
 * lock, so that of two calls at once one sees the other's group.
 */
extern void sd_group_require_none(void);

/* ---- group_reach.c: who can be reached now ---- */

/* Is the member connected, both ways, as far as this region knows?  If not, *why says why (a constant text). */
extern bool sd_group_reaches(const SdSelf *self, const SdMember *member, const char **why);

/* Could these members decide now?  An error, SD001, that names the missing if not.  what: "removing region \"x\"". */
extern void sd_group_require_quorum(const SdSelf *self, const SdMembers *members, const char *what);

/* The same, and as many call us: waits for that as long as for a quorum. */
extern void sd_group_await_quorum(const SdSelf *self, const SdMembers *members, const char *what);

/* ---- set_policy.c ---- */

/* Would these members take the vote from a region that policy "quorum" names?  Then an error, SD005. */
extern void sd_group_check_policy(const SdMembers *members);

/* ---- group.c ---- */

/*
 * Step 1 of a change of the group itself: the promise of a majority.  Refuses where the transaction has
 * another schema change: an entry is one thing.
 */
extern void sd_group_begin(const char *function, const char *subject);

/* The members after the change become this transaction's entry; returns its version. */
extern int64 sd_group_propose(const SdMembers *members, const char *action, const char *region);

/* The same with more in the payload: JSON members, each with a comma before it. */
extern int64 sd_group_propose_more(const SdMembers *members, const char *action, const char *region, const char *more);

/* Takes the DDL lock and wipes this region's state; the schema stays as it is. */
extern void sd_group_clear(void);

#endif							/* SD_FUNCTIONS_GROUP_H */

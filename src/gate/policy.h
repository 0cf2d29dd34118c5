/*
 * policy.h: what the group's policy, and the session's scope, refuse of a change.
 *
 * All refuse by an error, SD005, that says which key it is, its value, who set it and when.
 */
#ifndef SD_GATE_POLICY_H
#define SD_GATE_POLICY_H

#include "catalog/objectaddress.h"
#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "utils/jsonb.h"

#include "analysis/analyze.h"
#include "ddl/capture.h"

/* A statement that is not local: refused where schemadrift.scope is "local". */
extern void sd_gate_check_scope(CommandTag tag);

/*
 * A coordinated statement, before it runs: policy "lock" by the names that it has.  To be asked before the grant, so that
 * nobody is asked in vain, and after it, when no other policy can come in between.
 */
extern void sd_gate_check_statement(Node *stmt, CommandTag tag);

/* Rows of a migration tool's history, before they are written: scope and lock of their table. */
extern void sd_gate_check_rows(const char *schema, const char *name);

/* The same for all statements of a text, as far as their names tell it now. */
extern void sd_gate_check_text(const char *text);

/* Has policy "lock" to be looked at for what a statement reaches, too? */
extern bool sd_gate_watches_lock(void);

/* An object that the statement drops, before it is gone; those that it made or altered (ObjectAddress), afterwards. */
extern void sd_gate_check_dropped(const ObjectAddress *object, CommandTag tag);
extern void sd_gate_check_made(List *objects, CommandTag tag);

/* Plain DDL where the mode is require_apply. */
extern void sd_gate_refuse_plain(CommandTag tag) pg_attribute_noreturn();

/* Policy "require_down"; down: how it is taken back, NULL: in no recorded way.  plain: it comes by no apply() */
extern void sd_gate_require_down(const char *down, bool plain);

/* Policy "require_dry_run", of a script; of plain DDL, which none is a dry run of: up is NULL.  options: for what is to be pasted. */
extern void sd_gate_require_dry_run(const char *up, const char *down, Jsonb *options);

/* Policy "roles": sd_classify(), and then what it says of roles.  In a script and a transaction alike; what the mode does not refuse stays local. */
extern void sd_gate_classify(Node *stmt, SdVerdict *verdict);

/* The same key: refused where two regions share a server, whose roles both would change.  what: for people, "CREATE ROLE". */
extern void sd_gate_require_own_servers(const char *what);

/* Policy and option "freeze_time" (options: or NULL): the time that statements are run as if it were; 0: they are not. */
extern TimestampTz sd_gate_freezes_at(Jsonb *options);

/* What analysis has to know of the policy; options: of the change, or NULL. */
extern SdGroundRules sd_gate_ground_rules(Jsonb *options);

/* schemadrift.scope = 'local' is no way to call what changes all regions */
extern void sd_gate_require_group_scope(const char *function);

/* schemadrift.allowed_roles of this region, of one who is about to make an entry */
extern void sd_gate_require_allowed_run_as(const SdRunAs *run_as);

#endif							/* SD_GATE_POLICY_H */

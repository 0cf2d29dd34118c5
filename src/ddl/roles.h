/*
 * roles.h: statements on roles, as entries of the log (policy "roles").
 *
 * Roles belong to a server, which may have others than the log knows.  So where an entry makes a role that is there already, just as the
 * statement would make it, or takes away one that is not there, nothing is left to do; one that is there otherwise is an error.
 */
#ifndef SD_DDL_ROLES_H
#define SD_DDL_ROLES_H

#include "nodes/parsenodes.h"

/*
 * CREATE, ALTER, DROP ROLE, memberships, settings of a role, comment and label.  Not those whose effect is another database's: ALTER ROLE ...
 * IN DATABASE, of any but this.
 */
extern bool sd_roles_is_statement(Node *stmt);

/* Why such a statement cannot be an entry, a sentence, and what to write instead; NULL if it can. */
extern const char *sd_roles_reason(Node *stmt, const char **hint);

/* Has it a password, or what a server keeps of one?  Then its text is not to be shown.  In readable form: then it is not to be kept. */
extern bool sd_roles_has_password(Node *stmt);
extern bool sd_roles_tells_password(Node *stmt);
#define SD_REASON_PASSWORD "It has a password, or a hash that serves as one, and what becomes an entry is kept for ever, in every region."
#define SD_HINT_PASSWORD "Write what the server keeps of it, PASSWORD 'SCRAM-SHA-256$...': psql's \\password sends that instead of the password."

/* The name of the role that there is after it and was not before; NULL: none. */
extern const char *sd_roles_made(Node *stmt);

/* ALTER ROLE ... IN DATABASE, of this one, which may have another name in other regions. */
extern bool sd_roles_names_database(Node *stmt);

/*
 * In the applier and the task, around an entry's statements; an error ends the process.  database: what the origin calls it, if a statement
 * names it; else NULL.
 */
extern void sd_roles_begin_entry(const char *database);
extern void sd_roles_end_entry(void);

/* The same around work whose error does not end the process. */
extern void sd_roles_work_of_entry(const char *database, void (*work) (void *arg), void *arg);

/*
 * A statement about to run in this region, as its author: what to run instead, the same or a changed copy; NULL: it is done
 * already.  Outside of an entry the same.  Runs no text, but tries CREATE ROLE under another name, in a subtransaction, where there is something to compare.
 */
extern Node *sd_roles_replay(Node *stmt);

#endif							/* SD_DDL_ROLES_H */

/*
 * hooks.h: where PostgreSQL calls the gate.
 */
#ifndef SD_GATE_HOOKS_H
#define SD_GATE_HOOKS_H

extern void sd_hooks_init(void);

/*
 * Around a statement that needs a database free of our workers (DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER
 * DATABASE RENAME and SET TABLESPACE), in whichever database it is typed.  Set by the launcher; after is called on
 * failure too.
 */
typedef void (*SdDatabaseCommand) (Oid database);
extern SdDatabaseCommand sd_before_database_command;
extern SdDatabaseCommand sd_after_database_command;

#endif							/* SD_GATE_HOOKS_H */

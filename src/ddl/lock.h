/*
 * lock.h: the DDL lock of a region.
 *
 * One transaction at a time changes the schema of a database: a client's, from its grant to its end, or the applier's.
 * It is a heavyweight lock on our extension, so the deadlock detector and lock_timeout see it, pg_locks shows it,
 * and no user can take it from SQL.
 */
#ifndef SD_DDL_LOCK_H
#define SD_DDL_LOCK_H

/* Waits; lock_timeout applies.  Held until the end of the transaction, or sd_ddl_unlock(). */
extern void sd_ddl_lock(void);
extern void sd_ddl_unlock(void);

/*
 * While no group is there to be asked, schema changes do not exclude each other, but who makes or joins a group takes the
 * lock above, and with it waits for all of them.
 */
extern void sd_ddl_lock_shared(void);

#endif							/* SD_DDL_LOCK_H */

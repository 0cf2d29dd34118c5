/*
 * launcher.h: the process that keeps the coordinators.
 */
#ifndef SD_WORKER_LAUNCHER_H
#define SD_WORKER_LAUNCHER_H

extern void sd_launcher_init(void);	/* from _PG_init */

#endif							/* SD_WORKER_LAUNCHER_H */

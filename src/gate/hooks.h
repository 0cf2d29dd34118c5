/*
 * hooks.h: where PostgreSQL calls the gate.
 */
#ifndef SD_GATE_HOOKS_H
#define SD_GATE_HOOKS_H

extern void sd_hooks_init(void);

/* Is the gate for this process at all? */
extern bool sd_hooks_apply(void);

#endif							/* SD_GATE_HOOKS_H */

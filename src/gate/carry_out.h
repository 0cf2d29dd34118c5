/*
 * carry_out.h: the ways in which a statement of DDL runs, once it is known what it is.
 */
#ifndef SD_GATE_CARRY_OUT_H
#define SD_GATE_CARRY_OUT_H

#include "compat.h"

#include "ddl/classify.h"
#include "gate/mode.h"
#include "gate/running.h"

/* Coordinated DDL; under observe and off also what would be refused. */
extern void sd_carry_out_captured(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode);

/* What names temporary objects only. */
extern void sd_carry_out_temporary(const SdUtility *u, const SdVerdict *verdict);

/* What commits by itself, in a mode that refuses nothing. */
extern void sd_carry_out_alone(const SdUtility *u, const SdVerdict *verdict, SdDdlMode mode);

/* A statement of an entry, in the applier and wherever an entry's text runs. */
extern void sd_carry_out_entry(const SdUtility *u);

/* Such text, of a change that would be made here: what apply() refuses when a statement runs is refused. */
extern void sd_carry_out_as_origin(void (*work) (void *arg), void *arg);

/*
 * What the policy and the session's scope refuse by the statement itself.  "off" is for emergencies; "observe" refuses
 * nothing but what the session asked to have refused.
 */
extern void sd_carry_out_check_policy(Node *stmt, const SdVerdict *verdict, SdDdlMode mode);

/* What regions have to know of roles before they have heard of them: ddl/roles.h. */
extern void sd_carry_out_note_role(Node *stmt);

#endif							/* SD_GATE_CARRY_OUT_H */

/*
 * mode.h: how this session's DDL is treated now.
 */
#ifndef SD_GATE_MODE_H
#define SD_GATE_MODE_H

#include "settings.h"
#include "store/policy.h"

/* the group's policy; SD_MODE_DEFAULT: this database is in no group, nothing is gated */
extern SdDdlMode sd_gate_group_mode(void);

/* the group's policy as tightened, or switched off, by this session; an error where it may not be switched off */
extern SdDdlMode sd_gate_mode(void);

/* does this mode refuse what the group has not agreed to? */
static inline bool
sd_gate_mode_refuses(SdDdlMode mode)
{
	return mode == SD_MODE_COORDINATE || mode == SD_MODE_REQUIRE_APPLY;
}

/* the whole policy that sd_gate_group_mode() read last; until the end of the transaction, or a newer head of the log */
extern const SdPolicy *sd_gate_policy(void);

/* this transaction wrote a policy or made a group: read again at the next statement */
extern void sd_gate_forget_policy(void);

/* does the policy that sd_gate_group_mode() read last call this object local?  See ddl/local.h */
extern bool sd_gate_is_local_name(const char *schema, const char *name);

#ifdef SD_TESTING
extern void sd_testing_set_group_mode(SdDdlMode mode);
extern bool sd_testing_group_mode_is_set(void);
extern void sd_testing_set_local(const char *pattern);	/* one more, for this transaction */
#endif

#endif							/* SD_GATE_MODE_H */

/*
 * rpc.h: what the calls of other regions have in common.
 *
 * Runs in backends that another region's coordinator, or a person's join() there, connected to.
 */
#ifndef SD_FUNCTIONS_RPC_H
#define SD_FUNCTIONS_RPC_H

#include "compat.h"

#include "fmgr.h"
#include "nodes/execnodes.h"

#include "store/state.h"

/* Who calls, and who we are. */
typedef struct SdCaller
{
	char	   *region;
	int32		incarnation;
	SdSelf		self;
} SdCaller;

/*
 * Before anything: what must hold for a call to be safe to answer; an error if it does not.  Reads the first
 * seven arguments.  vote: the answer is a promise or an acceptance, so its commit must be flushed.
 */
extern SdCaller sd_rpc_guard(FunctionCallInfo fcinfo, bool vote);

/*
 * Index of the caller among the members; an error unless it is one, in this life of it.  older: or in an earlier one, which it
 * may not know to be over.
 */
extern int	sd_rpc_member(const SdCaller *caller, const SdMembers *members, bool older);

/* The part of it that needs no identity: for callers that are not members yet. */
extern void sd_rpc_guard_session(int32 protocol);

/* Refuse a call; detail: NULL for none. */
extern void sd_rpc_refuse(int sqlstate, const char *message, const char *detail);

/* Our functions are not STRICT, because some arguments may be NULL; these may not. */
extern void sd_rpc_require_args(FunctionCallInfo fcinfo, int from, int to);

extern SdChain sd_rpc_chain_arg(FunctionCallInfo fcinfo, int arg);
extern Datum sd_rpc_bytea(const uint8 *data, size_t size);

/* For calls that make an entry: who asked gives up some time, and nothing must happen afterwards. */
extern void sd_rpc_wait_a_while_only(void);

/* Rows (version, chain, bytes) of our log into a result set, at least one if there is one, up to max_bytes. */
extern void sd_rpc_put_log(ReturnSetInfo *result, int64 from, int64 to, int64 max_bytes);

#endif							/* SD_FUNCTIONS_RPC_H */

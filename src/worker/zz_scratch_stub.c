#include "compat.h"
#include "fmgr.h"
void *sd_applier_start(void); void *sd_applier_start(void) { elog(ERROR, "stub"); return NULL; }
PG_FUNCTION_INFO_V1(sd_rpc_admit); Datum sd_rpc_admit(PG_FUNCTION_ARGS) { (void) fcinfo; elog(ERROR, "stub"); }
PG_FUNCTION_INFO_V1(sd_rpc_describe); Datum sd_rpc_describe(PG_FUNCTION_ARGS) { (void) fcinfo; elog(ERROR, "stub"); }
PG_FUNCTION_INFO_V1(sd_rpc_objects); Datum sd_rpc_objects(PG_FUNCTION_ARGS) { (void) fcinfo; elog(ERROR, "stub"); }
PG_FUNCTION_INFO_V1(sd_rpc_promote); Datum sd_rpc_promote(PG_FUNCTION_ARGS) { (void) fcinfo; elog(ERROR, "stub"); }

/*
 * value.c: what the value of an expression follows, that each region would compute for itself.
 *
 * Runs in a backend.  Takes no locks.
 *
 * Stable functions that only follow settings are the same everywhere, because settings go with the entry; but not those that applications
 * invent, which current_setting() reads.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "ddl/capture.h"
#include "ddl/moment.h"
#include "ddl/value.h"

/* Functions that are stable and no more: whom they follow goes with the entry (settings, users), or does not (clock, server, tables). */
bool
sd_value_function_is_of_moment(Oid function, void *context)
{
	(void) context;
	if (func_volatile(function) != PROVOLATILE_STABLE)
		return false;
	/* a user's may read tables */
	if (function >= FirstNormalObjectId)
		return true;
	switch (function)
	{
		case F_AGE_TIMESTAMP:
		case F_AGE_TIMESTAMPTZ:
		case F_AGE_XID:
			return true;
		case F_PG_CLIENT_ENCODING:
		case F_CURRENT_SCHEMA:
			return false;
		default:				/* now(), inet_server_addr(), pg_backend_pid() ... */
			return get_func_nargs(function) == 0;
	}
}

/* current_setting() of what does not go with the entry: the session's own, or each region's */
static bool
reads_own_setting(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *name;

	if (!IsA(node, FuncExpr) || !(call->funcid == F_CURRENT_SETTING_TEXT || call->funcid == F_CURRENT_SETTING_TEXT_BOOL))
		return false;
	name = linitial(call->args);
	return !IsA(name, Const) || name->constisnull || !sd_capture_takes_setting(TextDatumGetCString(name->constvalue));
}

static bool
has_moment(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (reads_own_setting(node))
		return true;
	if (IsA(node, SQLValueFunction))
	{
		switch (((SQLValueFunction *) node)->op)
		{
			case SVFOP_CURRENT_ROLE:
			case SVFOP_CURRENT_USER:
			case SVFOP_USER:
			case SVFOP_SESSION_USER:
			case SVFOP_CURRENT_SCHEMA:
				return false;
			default:
				return true;
		}
	}
	if (check_functions_in_node(node, sd_value_function_is_of_moment, NULL))
		return true;
	return expression_tree_walker(node, has_moment, context);
}

bool
sd_value_is_of_moment(Node *planned)
{
	return has_moment(planned, NULL);
}

SdValue
sd_value_of(Node *cooked)
{
	cooked = (Node *) expression_planner((Expr *) cooked);
	if (contain_volatile_functions(cooked))
		return SD_VALUE_EACH;
	return has_moment(cooked, NULL) ? SD_VALUE_MOMENT : SD_VALUE_EQUAL;
}

/* ... and fails where there is no such setting */
static bool
needs_own_setting(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (reads_own_setting(node))
	{
		List	   *arguments = ((FuncExpr *) node)->args;
		Const	   *missing_ok = list_length(arguments) == 2 ? lsecond(arguments) : NULL;

		if (missing_ok == NULL || !IsA(missing_ok, Const) || missing_ok->constisnull || !DatumGetBool(missing_ok->constvalue))
			return true;
	}
	return expression_tree_walker(node, needs_own_setting, context);
}

bool
sd_value_needs_setting(Node *cooked)
{
	cooked = (Node *) expression_planner((Expr *) cooked);
	return !contain_volatile_functions(cooked) && needs_own_setting(cooked, NULL);
}

/* ---- the time, frozen ---- */

/* What CURRENT_DATE and its kin are at that time, in the session's time zone. */
static Datum
value_at(const SQLValueFunction *function, TimestampTz at)
{
	Datum		time = TimestampTzGetDatum(at);
	Datum		typmod = Int32GetDatum(function->typmod);

	switch (function->op)
	{
		case SVFOP_CURRENT_DATE:
			return DirectFunctionCall1(timestamptz_date, time);
		case SVFOP_CURRENT_TIME:
		case SVFOP_CURRENT_TIME_N:
			return DirectFunctionCall2(timetz_scale, DirectFunctionCall1(timestamptz_timetz, time), typmod);
		case SVFOP_LOCALTIME:
		case SVFOP_LOCALTIME_N:
			return DirectFunctionCall2(time_scale, DirectFunctionCall1(timestamptz_time, time), typmod);
		case SVFOP_LOCALTIMESTAMP:
		case SVFOP_LOCALTIMESTAMP_N:
			return DirectFunctionCall2(timestamp_scale, DirectFunctionCall1(timestamptz_timestamp, time), typmod);
		default:
			return DirectFunctionCall2(timestamptz_scale, time, typmod);
	}
}

static bool
follows_clock(Node *node)
{
	if (IsA(node, FuncExpr))
		return ((FuncExpr *) node)->funcid == F_NOW || ((FuncExpr *) node)->funcid == F_TRANSACTION_TIMESTAMP ||
			((FuncExpr *) node)->funcid == F_STATEMENT_TIMESTAMP;
	return IsA(node, SQLValueFunction) && sd_moment_is_clock((SQLValueFunction *) node);
}

static Node *
stop_clock(Node *node, void *context)
{
	TimestampTz at = *(TimestampTz *) context;
	int16		length;
	bool		by_value;
	Oid			type;
	Datum		value;

	if (node == NULL)
		return NULL;
	if (!follows_clock(node))
		return expression_tree_mutator(node, stop_clock, context);
	type = exprType(node);
	value = IsA(node, FuncExpr) ? TimestampTzGetDatum(at) : value_at((SQLValueFunction *) node, at);
	get_typlenbyval(type, &length, &by_value);
	return (Node *) makeConst(type, exprTypmod(node), InvalidOid, length, value, false, by_value);
}

/* After planning: SQL functions are inlined then. */
Node *
sd_value_frozen(Node *cooked, TimestampTz at)
{
	return stop_clock((Node *) expression_planner((Expr *) cooked), &at);
}

/* As a string constant that the type reads whatever the session's settings are. */
Node *
sd_value_constant(Node *cooked, TimestampTz at)
{
	EState	   *estate = CreateExecutorState();
	ExprState  *state = ExecPrepareExpr((Expr *) sd_value_frozen(cooked, at), estate);
	A_Const    *constant = makeNode(A_Const);
	int			nest_level = NewGUCNestLevel();
	Oid			output;
	bool		varlena;
	Datum		value;

	value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), &constant->isnull);
	if (!constant->isnull)
	{
		(void) set_config_option("DateStyle", "ISO", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		(void) set_config_option("IntervalStyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		(void) set_config_option("extra_float_digits", "3", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		getTypeOutputInfo(exprType(cooked), &output, &varlena);
		constant->val.sval.type = T_String;
		constant->val.sval.sval = OidOutputFunctionCall(output, value);
	}
	AtEOXact_GUC(true, nest_level);
	FreeExecutorState(estate);
	constant->location = -1;
	return (Node *) constant;
}


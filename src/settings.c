/*
 * settings.c: every schemadrift.* setting, one row each.
 *
 * Adding a setting is adding a row.  The context column is who may change it: see docs/install.md.
 */
#include "compat.h"

#include <limits.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "settings.h"

int			sd_heartbeat_interval;
int			sd_lease_duration;
int			sd_quorum_timeout;
int			sd_connect_timeout;
int			sd_lock_timeout;
int			sd_retry_max_interval;
int			sd_handover_grace;
int			sd_ddl_hold_limit;
int			sd_behind_limit;
int			sd_clock_offset_limit;
int			sd_replication_lag_limit;
int			sd_large_table;
int			sd_dry_run_lock_timeout;
int			sd_dry_run_timeout;
int			sd_dry_run_queries = SD_DRY_RUN_QUERIES_PLAN;
int			sd_dry_run_query_timeout;
bool		sd_preflight_propagation;
bool		sd_dry_run_for_regions;
int			sd_verify_interval;
int			sd_max_regions;
#ifdef SD_TESTING
int			sd_testing_protocol;
#endif
int			sd_max_entry_size;
int			sd_ddl_mode;
char	   *sd_bypass_reason;
char	   *sd_migration_name;
char	   *sd_allowed_roles;
int			sd_scope;
char	   *sd_token_file;
bool		sd_atomic_page_writes;

static const struct config_enum_entry ddl_modes[] = {
	{"default", SD_MODE_DEFAULT, false},
	{"observe", SD_MODE_OBSERVE, false},
	{"coordinate", SD_MODE_COORDINATE, false},
	{"require_apply", SD_MODE_REQUIRE_APPLY, false},
	{"off", SD_MODE_OFF, false},
	{NULL, 0, false}
};

static const struct config_enum_entry scopes[] = {
	{"group", SD_SCOPE_GROUP, false},
	{"local", SD_SCOPE_LOCAL, false},
	{NULL, 0, false}
};

typedef struct IntSetting
{
	const char *name;
	const char *what;
	int		   *value;
	int			initial;
	int			min;
	int			max;
	GucContext	context;
	int			flags;
} IntSetting;

static const IntSetting int_settings[] = {
#ifdef SD_TESTING
	{"schemadrift.testing_protocol", "The newest protocol that this region says it speaks; 0: what it knows.",
	&sd_testing_protocol, 0, 0, 1000, PGC_USERSET, 0},
#endif
	{"schemadrift.heartbeat_interval", "Time between exchanges with each other region.",
	&sd_heartbeat_interval, 1000, 50, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.lease_duration", "Time for which others promise not to disturb the region that leads; 0: no leases.",
	&sd_lease_duration, 10000, 0, SD_LEASE_MAX_MS, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.quorum_timeout", "Longest time a schema change waits for a quorum of regions.",
	&sd_quorum_timeout, 5000, 100, 600000, PGC_USERSET, GUC_UNIT_MS},
	{"schemadrift.connect_timeout", "Longest time a connection to another region may take to be made.",
	&sd_connect_timeout, 3000, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.lock_timeout", "Longest time the applier waits for a lock before it tries again later.",
	&sd_lock_timeout, 5000, 10, 600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.retry_max_interval", "Longest pause between two attempts of the applier, or to connect to a region.",
	&sd_retry_max_interval, 60000, 1000, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.handover_grace", "Time left to an open transaction whose version another region took.",
	&sd_handover_grace, 30000, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.ddl_hold_limit", "Longest time an open transaction that has changed the schema may keep another region waiting; the group's policy wins.",
	&sd_ddl_hold_limit, 60000, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.behind_limit", "How long a region may be behind the log, a version undecided, or an online version kept waiting, before that is an alert; 0: never.",
	&sd_behind_limit, 60000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.clock_offset_limit", "How far another region's clock may be from ours before that is an alert; 0: never.",
	&sd_clock_offset_limit, 500, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.replication_lag_limit", "How far replication may be behind before that is an alert; 0: never.",
	&sd_replication_lag_limit, 300000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS},
	{"schemadrift.large_table", "From which size on a table is large, so that analyze() calls it unsafe to rewrite or scan under a lock.",
	&sd_large_table, 64 * 1024, 0, INT_MAX, PGC_USERSET, GUC_UNIT_KB},
	{"schemadrift.dry_run_lock_timeout", "How long dry_run() waits for a lock in this region: what comes after it waits as long.",
	&sd_dry_run_lock_timeout, 500, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS},
	{"schemadrift.dry_run_timeout", "The longest that dry_run() may take in this region, and so hold its locks.",
	&sd_dry_run_timeout, 3000, 1, 24 * 3600 * 1000, PGC_USERSET, GUC_UNIT_MS},
	{"schemadrift.dry_run_query_timeout", "The longest that a registered query that dry_run() runs may take in this region.",
	&sd_dry_run_query_timeout, 300, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS},
	{"schemadrift.verify_interval", "Time between two looks at the whole schema for what went past every hook; 0: only when something calls for it.",
	&sd_verify_interval, 3600, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S},
	{"schemadrift.max_regions", "Largest number of regions in a group.",
	&sd_max_regions, 32, 1, 64, PGC_POSTMASTER, 0},
	{"schemadrift.max_entry_size", "Largest size of one migration.",
	&sd_max_entry_size, 64 * 1024, 64, 256 * 1024, PGC_SUSET, GUC_UNIT_KB},
};

/* What lies in the data directory is copied with it, and would prove nothing. */
static bool
check_token_file(char **value, void **extra, GucSource source)
{
	char	   *path = *value;

	(void) extra;
	(void) source;
	if (path == NULL || path[0] == '\0')
		return true;
	canonicalize_path(path);
	if (!is_absolute_path(path))
	{
		GUC_check_errdetail("It must be an absolute path.");
		return false;
	}
	if (DataDir && path_is_prefix_of_path(DataDir, path))
	{
		GUC_check_errdetail("It must lie outside the data directory, so that a copy of that lacks it.");
		return false;
	}
	return true;
}

typedef struct StringSetting
{
	const char *name;
	const char *what;
	char	  **value;
	const char *initial;
	GucContext	context;
	int			flags;
	GucStringCheckHook check;
} StringSetting;

static bool
is_list_of_roles(char **value, void **extra, GucSource source)
{
	List	   *names;
	bool		good = SplitIdentifierString(pstrdup(*value), ',', &names);

	(void) extra;
	(void) source;
	if (!good)
		GUC_check_errdetail("It must be a list of roles; \"*\" is every role that is no superuser.");
	list_free(names);
	return good;
}

static const StringSetting string_settings[] = {
	{"schemadrift.bypass_reason", "Why ddl_mode is off; recorded and shown until the change is adopted or taken back.",
	&sd_bypass_reason, "", PGC_USERSET, 0, NULL},
	{"schemadrift.migration_name", "Name of the migration that plain DDL of this transaction makes.",
	&sd_migration_name, "", PGC_USERSET, 0, NULL},
	{"schemadrift.allowed_roles", "Roles whose migrations this region runs; * is every role that is no superuser, and the one that initdb made.",
	&sd_allowed_roles, "*", PGC_SIGHUP, GUC_LIST_INPUT, is_list_of_roles},
	{"schemadrift.token_file", "File outside the data directory whose contents prove that this server is the region it says it is.",
	&sd_token_file, "", PGC_SIGHUP, 0, check_token_file},
};

static const struct config_enum_entry dry_run_queries[] = {
	{"off", SD_DRY_RUN_QUERIES_OFF, false},
	{"plan", SD_DRY_RUN_QUERIES_PLAN, false},
	{"run", SD_DRY_RUN_QUERIES_RUN, false},
	{NULL, 0, false}
};

const char *
sd_dry_run_queries_text(void)
{
	return dry_run_queries[sd_dry_run_queries].name;
}

bool
sd_dry_run_queries_parse(const char *text, SdDryRunQueries *value)
{
	for (const struct config_enum_entry *entry = dry_run_queries; entry->name; entry++)
		if (strcmp(entry->name, text) == 0)
		{
			*value = entry->val;
			return true;
		}
	return false;
}

void
sd_settings_init(void)
{
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const IntSetting *s = &int_settings[i];

		DefineCustomIntVariable(s->name, s->what, NULL, s->value, s->initial, s->min, s->max,
								s->context, s->flags, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const StringSetting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->what, NULL, s->value, s->initial,
								   s->context, s->flags, s->check, NULL, NULL);
	}
	DefineCustomBoolVariable("schemadrift.preflight_propagation",
							 "Does preflight() measure how long an entry takes to the other regions, by a no-op, which is a version of the log?",
							 NULL, &sd_preflight_propagation, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("schemadrift.dry_run_for_regions",
							 "Does this region take part in a dry_run() that was asked for in another one?",
							 NULL, &sd_dry_run_for_regions, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("schemadrift.dry_run_queries",
							 "What dry_run() does with registered queries, before and after: nothing, plan them, or run those that leave nothing.",
							 NULL, &sd_dry_run_queries, SD_DRY_RUN_QUERIES_PLAN, dry_run_queries,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("schemadrift.atomic_page_writes",
							 "The storage writes whole pages or nothing: vote although full_page_writes is off.",
							 NULL, &sd_atomic_page_writes, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("schemadrift.ddl_mode",
							 "How this session's DDL is treated; may tighten the group's policy, or be off.",
							 NULL, &sd_ddl_mode, SD_MODE_DEFAULT, ddl_modes,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("schemadrift.scope",
							 "Whether DDL may change what all regions have; local: only what policy \"local\" names.",
							 NULL, &sd_scope, SD_SCOPE_GROUP, scopes,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("schemadrift");
}

void
sd_set_lock_timeout(int64 ms, GucAction how)
{
	char		value[32];

	snprintf(value, sizeof(value), INT64_FORMAT "ms", ms);
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION, how, true, 0, false);
}

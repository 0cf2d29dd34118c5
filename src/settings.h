/*
 * settings.h: the values of the schemadrift.* settings.
 */
#ifndef SD_SETTINGS_H
#define SD_SETTINGS_H

#include "utils/guc.h"

/* the session's wish; the group's policy is the floor, and only "off" loosens it */
typedef enum SdDdlMode
{
	SD_MODE_DEFAULT,			/* what the group's policy says */
	SD_MODE_OBSERVE,
	SD_MODE_COORDINATE,
	SD_MODE_REQUIRE_APPLY,
	SD_MODE_OFF					/* break-glass: needs bypass_reason and the right to set it */
} SdDdlMode;

/* what this session's DDL may reach */
typedef enum SdScopeSetting
{
	SD_SCOPE_GROUP,
	SD_SCOPE_LOCAL				/* only what policy "local" names */
} SdScopeSetting;

extern int	sd_heartbeat_interval;	/* ms */
#define SD_LEASE_MAX_MS		600000	/* no word that is given binds longer, whatever a caller asks for */
extern int	sd_lease_duration;
extern int	sd_quorum_timeout;		/* ms */
extern int	sd_connect_timeout;		/* ms */
extern int	sd_lock_timeout;		/* ms, applier */
extern int	sd_retry_max_interval;	/* ms */
extern int	sd_handover_grace;		/* ms */
extern int	sd_ddl_hold_limit;		/* ms; ask sd_policy_hold_limit_ms() */
extern int	sd_behind_limit;		/* ms, of alerts; 0: none, as for the next two */
extern int	sd_clock_offset_limit;	/* ms */
extern int	sd_replication_lag_limit;	/* ms */
extern int	sd_large_table;		/* kB; from here on analyze() calls a table large */
extern int	sd_dry_run_lock_timeout;	/* ms */
extern int	sd_dry_run_timeout; /* ms, up and down together */

/* What dry_run() does with registered queries. */
typedef enum SdDryRunQueries
{
	SD_DRY_RUN_QUERIES_OFF,
	SD_DRY_RUN_QUERIES_PLAN,
	SD_DRY_RUN_QUERIES_RUN
} SdDryRunQueries;

extern int	sd_dry_run_queries; /* an SdDryRunQueries, as who calls dry_run() wants it */
extern int	sd_dry_run_query_timeout;	/* ms, of one that is run */
extern const char *sd_dry_run_queries_text(void);
extern bool sd_dry_run_queries_parse(const char *text, SdDryRunQueries *value);
extern bool sd_preflight_propagation;	/* preflight() measures by a no-op */
extern bool sd_dry_run_for_regions;	/* when another region asks for one */
extern int	sd_verify_interval;		/* s; 0: only when something calls for it */
extern int	sd_max_regions;
#ifdef SD_TESTING
extern int	sd_testing_protocol;
#endif
extern int	sd_max_entry_size;		/* kB */
extern int	sd_ddl_mode;			/* SdDdlMode */
extern char *sd_bypass_reason;
extern char *sd_migration_name;
extern char *sd_allowed_roles;	/* ddl/allowed.h */
extern int	sd_scope;			/* SdScopeSetting */
extern char *sd_token_file;		/* empty: none */
extern bool sd_atomic_page_writes;

extern void sd_settings_init(void);

/* PostgreSQL's lock_timeout, for as long as `how` says; 0: none. */
extern void sd_set_lock_timeout(int64 ms, GucAction how);

/* Long enough for a lock that is free. */
#define SD_FREE_LOCK_MS	10

#endif							/* SD_SETTINGS_H */

/*
 * join.c: this database becomes a region of a group that exists.
 *
 * Runs in a backend, as one transaction: it takes the DDL lock, copies the group's log while it looks for the
 * version whose schema is the one here, has a member admit us (an entry of its log, made over there), and then
 * writes who we are.  From the commit on the coordinator does the rest: it catches up and asks to be promoted.
 *
 * If the transaction fails after the admission, the group has a member that never comes; it counts for nothing (an
 * observer), and the next join() of the same name takes its place.
 */
#include "compat.h"

#include <libpq-fe.h>

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "attempt.h"
#include "ddl/drift.h"
#include "errors.h"
#include "functions/compare.h"
#include "functions/group.h"
#include "functions/join_adopt.h"
#include "gate/mode.h"
#include "peer/calls.h"
#include "waitpoint.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(sd_join);

#define PAGE_BYTES		"4194304"
#define SHOWN_MAX		10		/* differences in an error */
#define ADMISSIONS_MAX	10		/* attempts, where other regions' changes come first */

typedef struct Joining
{
	SdClient   *client;
	const char *via;
	SdGroupInfo info;
	const char *region;
	const char *conninfo;
	SdRole		wants;
	bool		empty;			/* option "schema": "empty" */
	bool		adopt;			/* option "schema": "adopt"; neither: "equal" */
	const char *reason;			/* to adopt */

	SdDigest	digest;			/* of the schema here */
	SdDigest	logged;			/* the same, less what is adopted */
	List	   *adopted;		/* of SdObjectDigest */

	/* the copy of the log so far */
	SdHead		head;
	SdDigest	after;			/* the group's schema at head */

	/* the newest version whose schema is the one here; 0 none */
	SdHead		match;

	int64		version;		/* of the entry that admitted us */
	int32		incarnation;
} Joining;

/* ---- options ---- */

#define ADOPTED		"known when the region joined"

static void
take_options(Joining *join, Jsonb *options)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *schema;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example '{\"schema\": \"empty\"}'.")));
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

			if (strcmp(key, "schema") != 0 && strcmp(key, "reason") != 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("unknown option \"%s\"", key),
						 errhint("Options are: \"schema\", \"reason\".")));
		}
	if (JB_ROOT_COUNT(options) == 0)
		return;

	schema = sd_json_text(options, "schema");
	join->reason = sd_json_text(options, "reason");
	join->empty = schema && strcmp(schema, "empty") == 0;
	join->adopt = schema && strcmp(schema, "adopt") == 0;
	if (!join->empty && !join->adopt && (schema == NULL || strcmp(schema, "equal") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"schema\""),
				 errhint("It must be \"equal\", \"empty\" or \"adopt\".")));
	if (join->reason && !join->adopt)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"reason\" is for \"schema\": \"adopt\" only")));
	if (join->reason == NULL)
		join->reason = ADOPTED;
}

/* ---- the log ---- */

static bool
parse_digest(const char *hex, SdDigest *digest)
{
	if (strlen(hex) != 2 * SD_DIGEST_LENGTH ||
		strspn(hex, "0123456789abcdef") != 2 * SD_DIGEST_LENGTH)
		return false;
	hex_decode(hex, 2 * SD_DIGEST_LENGTH, (char *) digest->byte);
	return true;
}

/*
 * One row: it must continue the chain, or what that region tells is not one log.  An entry that leaves the schema
 * as it was (a noop, say) tells no digest: the one before stays.
 */
static void
take_row(Joining *join, const SdLogRow *row)
{
	SdEntry    *entry = sd_entry_decode(row->bytes);
	SdChain		chain = sd_entry_chain(&join->head.chain, entry);
	Jsonb	   *payload = sd_entry_payload(entry);
	char	   *after = sd_json_text(payload, "after");

	sd_entry_require_sound(entry);
	if (row->version != join->head.version + 1 || !sd_chain_equal(&chain, &row->chain))
		ereport(ERROR,
				(errcode(SD_ERRCODE_DIVERGED),
				 errmsg("the log of region \"%s\" is broken at version " INT64_FORMAT,
						join->info.region, join->head.version + 1),
				 errdetail("Its hash chain does not fit its entries."),
				 errhint("Join by another region, and compare the logs of those two.")));
	if (sd_json_int64(payload, "form", SD_DIGEST_FORM) != SD_DIGEST_FORM)
		after = NULL;
	if (after && !parse_digest(after, &join->after))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("entry is malformed"),
				 errdetail("Version " INT64_FORMAT " has a digest that is none.", row->version)));

	sd_log_insert(row->version, entry, &chain);
	join->head.version = row->version;
	join->head.chain = chain;
	/* a witness has no schema that could fit: it follows the log as it is */
	if (join->wants == SD_ROLE_WITNESS || sd_digest_equal(&join->after, &join->logged))
		join->match = join->head;
}

/* Copy the log on from what we have until it has the version. */
static void
copy_log(Joining *join, int64 until)
{
	MemoryContext page = AllocSetContextCreate(CurrentMemoryContext, "schemadrift log page", ALLOCSET_DEFAULT_SIZES);

	while (join->head.version < until)
	{
		MemoryContext old = MemoryContextSwitchTo(page);
		const char *values[] = {
			psprintf("%d", sd_protocol_own()), sd_uuid_text(&join->info.group_id),
			psprintf(INT64_FORMAT, join->head.version + 1), PAGE_BYTES
		};
		const PGresult *result;
		List	   *rows;
		ListCell   *lc;
		SdScope		scope;

		result = sd_client_query(join->client, "SELECT * FROM schemadrift_rpc.history($1,$2,$3,$4)", 4, NULL,
								 values, true);
		if (!sd_call_decode_rows(result, &rows) || rows == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("region \"%s\" does not give its log from version " INT64_FORMAT " on",
							join->info.region, join->head.version + 1),
					 errdetail("Its newest version is " INT64_FORMAT ".", until)));
		sd_store_enter(&scope);
		foreach(lc, rows)
			take_row(join, lfirst(lc));
		sd_store_leave(&scope);
		MemoryContextSwitchTo(old);
		MemoryContextReset(page);
	}
	MemoryContextDelete(page);
}

/* ---- schemas that do not fit ---- */

/* Something a user made in this database; NULL if there is nothing. */
static char *
find_user_object(void)
{
	static SdStatement statement = {
		.sql = "SELECT what || ' ' || name FROM ("
		"SELECT 'pg_class'::regclass AS class, c.oid, 'relation' AS what, c.oid::regclass::text AS name, c.relnamespace AS schema FROM pg_class c "
		"UNION ALL SELECT 'pg_proc'::regclass, p.oid, 'function', p.oid::regprocedure::text, p.pronamespace FROM pg_proc p "
		"UNION ALL SELECT 'pg_type'::regclass, t.oid, 'type', t.oid::regtype::text, t.typnamespace FROM pg_type t "
		"UNION ALL SELECT 'pg_namespace'::regclass, n.oid, 'schema', n.nspname, n.oid FROM pg_namespace n WHERE n.nspname <> 'public') o "
		"JOIN pg_namespace n ON n.oid = o.schema WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'schemadrift') "
		"AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i')) "
		"AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e') "
		"ORDER BY o.oid LIMIT 1"
	};
	SdScope		scope;
	char	   *found = NULL;

	sd_store_enter(&scope);
	if (sd_store_run(&statement, NULL, NULL, SD_ANY_ROWS) > 0)
		found = sd_store_text(0, 1);
	sd_store_leave(&scope);
	return found;
}

/* A word of a shell command line. */
static char *
shell_quoted(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '\'');
	for (; *text; text++)
	{
		if (*text == '\'')
			appendStringInfoString(&out, "'\\''");
		else
			appendStringInfoChar(&out, *text);
	}
	appendStringInfoChar(&out, '\'');
	return out.data;
}

/* Names of these tables: those with other rows here than in that region, or all that it has.  NIL: there are none. */
static List *
history_names(const Joining *join, bool all)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, sd_compare_history(join->client))
	{
		SdHistoryTable *table = lfirst(lc);

		if (all || (table->here && !table->equal))
			names = lappend(names, quote_qualified_identifier(table->schema, table->table));
	}
	return names;
}

/* The command that copies what is in them, run with these options. */
static char *
copy_rows(const Joining *join, List *names, const char *options)
{
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	appendStringInfoString(&out, "pg_dump --data-only");
	foreach(lc, names)
		appendStringInfo(&out, " --table=%s", shell_quoted(lfirst(lc)));
	appendStringInfo(&out, " -d %s | %spsql -v ON_ERROR_STOP=1 -1 -d %s", shell_quoted(sd_group_show_conninfo(join->via)), options,
					 shell_quoted(psprintf("dbname=%s", get_database_name(MyDatabaseId))));
	return out.data;
}

static void
pg_attribute_noreturn()
refuse_dump_first(const Joining *join)
{
	List	   *tables = history_names(join, true);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the group began with a schema that its log does not have"),
			 errdetail("Load the schema as it is now, as a role that may read the one and create in the other:\n"
					   "pg_dump --schema-only --exclude-schema=schemadrift --exclude-schema='schemadrift_*' -d %s | "
					   "psql -v ON_ERROR_STOP=1 -1 -d %s%s%s",
					   shell_quoted(sd_group_show_conninfo(join->via)),
					   shell_quoted(psprintf("dbname=%s", get_database_name(MyDatabaseId))),
					   tables != NIL ? "\nand what migration tools wrote down there:\n" : "",
					   tables != NIL ? copy_rows(join, tables, "") : ""),
			 errhint("Then call schemadrift.join() again, with options '{\"schema\": \"equal\"}'; what changes meanwhile is replayed.")));
}

static void
pg_attribute_noreturn()
refuse_different(const Joining *join)
{
	List	   *differences = sd_compare_differences(join->client, join->info.region);
	StringInfoData shown;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&shown);
	foreach(lc, differences)
	{
		SdDifference *d = lfirst(lc);

		if (n++ < SHOWN_MAX)
			appendStringInfo(&shown, "\n%s %s: %s", d->kind, d->identity, d->difference);
	}
	if (n > SHOWN_MAX)
		appendStringInfo(&shown, "\n... and %d more", n - SHOWN_MAX);
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("the schema here is not the group's at any version"),
			 n > 0 ? errdetail("Seen from here, compared with region \"%s\" as it is now:%s", join->info.region, shown.data)
			 : errdetail("It is that of region \"%s\", but that one is not what the log says: it was changed outside of it.",
						 join->info.region),
			 errhint("SELECT * FROM schemadrift.compare(via) shows all differences; options '{\"schema\": \"adopt\"}' join with them, as drift.")));
}

/* ---- differences that are adopted ---- */

#define ADOPT_ATTEMPTS	25

/* Until the member has applied what we have of its log; or it is not what the log says. */
static void
find_adopted(Joining *join)
{
	for (int i = 0; i < ADOPT_ATTEMPTS; i++)
	{
		const char *values[] = {psprintf("%d", sd_protocol_own())};
		const PGresult *result;

		if (sd_join_differences(join->client, &join->after, &join->adopted))
		{
			join->logged = join->after;
			join->match = join->head;
			return;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 200, sd_wait_event(SD_WAIT_PEER));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		result = sd_client_query(join->client, "SELECT head FROM schemadrift_rpc.describe($1)", 1, NULL, values, false);
		if (PQntuples(result) == 1)
			copy_log(join, strtoll(PQgetvalue(result, 0, 0), NULL, 10));
	}
	ereport(ERROR,
			(errcode(SD_ERRCODE_DIVERGED),
			 errmsg("region \"%s\" cannot say what the group's schema is", join->info.region),
			 errdetail("It has drifted itself, or has not applied the log, so its objects are not what version " INT64_FORMAT " left.",
					   join->head.version),
			 errhint("Join by another region: SELECT region, in_sync FROM schemadrift.regions;")));
}

static void
require_match(Joining *join)
{
	if (join->adopt && join->match.version == 0 && join->wants != SD_ROLE_WITNESS)
		find_adopted(join);
	if (join->match.version > 0)
		return;
	if (join->empty)
		refuse_dump_first(join);
	refuse_different(join);
}

/* ---- becoming a member ---- */

/* Unless that region has answered with it, it may have admitted us. */
static void
pg_attribute_noreturn()
raise_admission(const Joining *join, ErrorData *error)
{
	if (sd_client_unreached(error) || sd_is_cancel(error) || error->sqlerrcode == SD_ERRCODE_UNKNOWN_OUTCOME)
		error->hint = psprintf("%s%sIt is not known whether the group has admitted this region: "
							   "join again with the same name, or SELECT schemadrift.remove_region('%s') in region \"%s\".",
							   error->hint ? error->hint : "", error->hint ? " " : "", join->region, join->info.region);
	ReThrowError(error);
}

/* NULL: another region's change was first, and nothing happened: "retry safely". */
static const PGresult *
try_admission(Joining *join)
{
	const char *values[] = {
		psprintf("%d", sd_protocol_own()), sd_uuid_text(&join->info.group_id), join->region, join->conninfo,
		sd_role_text(join->wants)
	};
	MemoryContext context = CurrentMemoryContext;
	const PGresult *volatile result = NULL;

	PG_TRY();
	{
		result = sd_client_query(join->client, "SELECT version, incarnation FROM schemadrift_rpc.admit($1,$2,$3,$4,$5)",
								 5, NULL, values, false);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (error->sqlerrcode != SD_ERRCODE_PREEMPTED)
			raise_admission(join, error);
	}
	PG_END_TRY();
	return result;
}

static void
ask_admission(Joining *join)
{
	const PGresult *result = NULL;

	for (int i = 0; i < ADMISSIONS_MAX && result == NULL; i++)
	{
		CHECK_FOR_INTERRUPTS();
		result = try_admission(join);
	}
	if (result == NULL)
		ereport(ERROR,
				(errcode(SD_ERRCODE_PREEMPTED),
				 errmsg("other regions changed the schema first, each of %d times", ADMISSIONS_MAX),
				 errdetail("Nothing happened."),
				 errhint("Join again, or by the region that changes the schema so often.")));

	if (PQntuples(result) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the other region answered with nonsense")));
	join->version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	join->incarnation = atoi(PQgetvalue(result, 0, 1));
}

static void
write_state(Joining *join, SdMembers *members)
{
	SdApplied	applied = {0};
	SdDatabase *db = sd_shared_mine();
	SdDigest	rebased;
	SdScope		scope;
	int			me;

	/* may move the match on: an entry that leaves the schema as it is needs not be applied */
	copy_log(join, join->version);
	applied.version = join->match.version;
	applied.chain = join->match.chain;
	memcpy(applied.digest, join->digest.byte, SD_DIGEST_LENGTH);
	sd_store_enter(&scope);
	sd_applied_insert(&applied);
	sd_self_insert(&join->info.group_id, join->info.generation, join->region, join->incarnation, "observer");
	sd_drift_adopt(join->adopted, join->reason);
	if (join->wants != SD_ROLE_WITNESS)
		(void) sd_drift_rebase(&rebased);
	sd_group_members(scope.caller, members);
	sd_store_leave(&scope);

	me = sd_config_find(&members->config, join->region);
	if (me < 0 || members->config.member[me].incarnation != join->incarnation)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the log of region \"%s\" does not have this region as a member", join->info.region)));
	sd_gate_forget_policy();
	if (db)
		sd_shared_wake_at_commit(db);
}

/* Whatever goes wrong from here on: somebody must know that the group counts on us already. */
static void
become_member(Joining *join, SdMembers *members)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		write_state(join, members);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		error->hint = psprintf("%s%sThe group has admitted this region already (version " INT64_FORMAT "): "
							   "join again with the same name, or SELECT schemadrift.remove_region('%s') in region \"%s\".",
							   error->hint ? error->hint : "", error->hint ? " " : "", join->version, join->region,
							   join->info.region);
		ReThrowError(error);
	}
	PG_END_TRY();
}

/* Of who joins at the head of the log: what is yet to be applied would bring rows, too. */
static void
tell_history(const Joining *join)
{
	static const char *const options = "PGOPTIONS='-c schemadrift.ddl_mode=off -c schemadrift.bypass_reason=history' ";
	List	   *tables;
	StringInfoData names;
	ListCell   *lc;

	if (join->wants == SD_ROLE_WITNESS || join->match.version < join->info.head)
		return;
	tables = history_names(join, false);
	if (tables == NIL)
		return;
	initStringInfo(&names);
	foreach(lc, tables)
		appendStringInfo(&names, "%s%s", foreach_current_index(lc) > 0 ? ", " : "", (char *) lfirst(lc));
	ereport(WARNING,
			(errmsg("migration tools have other histories here than in region \"%s\"", join->info.region),
			 errdetail("The schema is the same, but rows of these tables are not, so that a tool begins from another point here: %s.", names.data),
			 errhint("Delete the rows of these tables here with %s, then run:\n%s", options, copy_rows(join, tables, options))));
}

static void
tell(const Joining *join, const SdMembers *members)
{
	ereport(NOTICE,
			(errmsg("region \"%s\" has joined the group as observer, with version " INT64_FORMAT,
					join->region, join->version),
			 join->match.version < join->version ?
			 errdetail("Versions " INT64_FORMAT " to " INT64_FORMAT " are applied from now on.",
					   join->match.version + 1, join->version) : 0,
			 join->wants != SD_ROLE_OBSERVER ?
			 errhint("It becomes a %s once it has applied everything: SELECT * FROM schemadrift.regions;",
					 sd_role_text(join->wants)) : 0));
	if (join->adopted != NIL)
		ereport(NOTICE,
				(errmsg_plural("%d object differs from the group's, and is known as drift",
							   "%d objects differ from the group's, and are known as drift",
							   list_length(join->adopted), list_length(join->adopted)),
				 errhint("SELECT * FROM schemadrift.drift;")));
	if (join->wants != SD_ROLE_OBSERVER)
		sd_group_warn_of_two(members);
}

Datum
sd_join(PG_FUNCTION_ARGS)
{
	Joining		join = {0};
	SdMembers	members;
	SdScope		scope;

	join.via = sd_group_text_arg(fcinfo, 0, "via");
	join.region = sd_group_text_arg(fcinfo, 1, "region");
	join.conninfo = sd_group_text_arg(fcinfo, 2, "conninfo");
	sd_group_check_session("join");
	sd_group_check_no_block("join");
	sd_group_check_region(join.region);
	join.wants = sd_group_check_role(sd_group_text_arg(fcinfo, 3, "role"));
	if (!PG_ARGISNULL(4))
		take_options(&join, PG_GETARG_JSONB_P(4));
	sd_group_check_conninfo(join.conninfo);
	sd_group_require_none();

	/* what else is in a witness's database is nobody's business: nothing there is ever looked at, or changed */
	if (join.empty && join.wants != SD_ROLE_WITNESS)
	{
		char	   *object = find_user_object();

		if (object)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("this database is not empty"),
					 errdetail("It has %s.", object),
					 errhint("If its schema is the group's, use options '{\"schema\": \"equal\"}'.")));
	}

	join.client = sd_compare_connect(join.via, &join.info);
	if (join.wants != SD_ROLE_WITNESS)
	{
		sd_store_enter(&scope);
		join.digest = join.logged = sd_digest_rebuild();
		sd_store_leave(&scope);
	}
	copy_log(&join, join.info.head);
	require_match(&join);
	ask_admission(&join);
	sd_waitpoint("join-admitted");
	become_member(&join, &members);
	tell_history(&join);
	sd_client_close(join.client);
	tell(&join, &members);
	PG_RETURN_VOID();
}

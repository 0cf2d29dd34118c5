/*
 * policy.c: what the group's policy, and the session's scope, refuse of a change; see policy.h.
 *
 * Runs in a backend, in the hooks and in apply() and its like.  Names are resolved through the catalog caches without a
 * lock.  Refusals are the origin's: the applier runs what is in the log, which was chosen under the policy of its version.
 *
 * Policy "lock" is looked at twice.  By name, before a statement runs and before anybody is asked: most mistakes end there.
 * And by object, for what no name shows (a CASCADE, a child of a partitioned table, a foreign key's other side): that
 * ends the statement, so nothing of it happens either.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "ddl/allowed.h"
#include "ddl/capture.h"
#include "ddl/options.h"
#include "ddl/roles.h"
#include "ddl/targets.h"
#include "errors.h"
#include "gate/mode.h"
#include "gate/internal.h"
#include "gate/policy.h"
#include "gate/rehearsed.h"
#include "settings.h"
#include "store/entry.h"
#include "store/policy.h"
#include "store/telemetry.h"

/* ---- policy "lock" ---- */

/* the object by which a lock was met, for the message */
static char *met_schema;
static char *met_name;

static bool
is_locked_name(const char *schema, const char *name)
{
	if (!sd_policy_lock_covers(&sd_gate_policy()->lock, schema, name))
		return false;
	met_schema = pstrdup(schema);
	met_name = pstrdup(name);
	return true;
}

static void
refuse_locked(CommandTag tag, const char *schema, const char *name)
{
	const SdPolicy *policy = sd_gate_policy();
	bool		ends = !TIMESTAMP_IS_NOEND(policy->lock.until);

	ereport(ERROR,
			(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
			 schema == NULL ? errmsg("%s is refused: the group's policy locks the schema of all regions", GetCommandTagName(tag)) :
			 name[0] ? errmsg("%s is refused: the group's policy locks %s.%s", GetCommandTagName(tag), schema, name) :
			 errmsg("%s is refused: the group's policy locks schema %s, or what is in it", GetCommandTagName(tag), schema),
			 errdetail("Reason: %s.\n%s", policy->lock.reason, sd_policy_says(policy, "lock")),
			 ends ? errhint("Wait until %s, or lift the lock: SELECT schemadrift.set_policy('{\"lock\": null}').",
							sd_time_text(policy->lock.until)) :
			 errhint("Lift the lock first: SELECT schemadrift.set_policy('{\"lock\": null}').")));
}

bool
sd_gate_watches_lock(void)
{
	return sd_policy_is_locked(sd_gate_policy());
}

/* A type's own name; the row type of a table is where its table is. */
static bool
name_of_type(Oid type, char **schema, char **name)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

	if (!HeapTupleIsValid(tuple))
		return false;
	*schema = get_namespace_name(((Form_pg_type) GETSTRUCT(tuple))->typnamespace);
	*name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return *schema != NULL;
}

/* Schema and name that a pattern is matched with; false: it has none, or is not there (any more). */
static bool
name_of_object(ObjectAddress object, char **schema, char **name)
{
	List	   *parts = NIL;
	List	   *args = NIL;

	switch (object.classId)
	{
			/* announced by their table's OID */
		case InheritsRelationId:
		case IndexRelationId:
			ObjectAddressSet(object, RelationRelationId, object.objectId);
			break;
		case AttrDefaultRelationId:
			if (object.objectSubId != 0)
				ObjectAddressSet(object, RelationRelationId, object.objectId);
			break;
		case TypeRelationId:
			return name_of_type(object.objectId, schema, name);
		case NamespaceRelationId:
			*schema = get_namespace_name(object.objectId);
			*name = "";
			return *schema != NULL;
		case RelationRelationId:
		case ProcedureRelationId:
		case ConstraintRelationId:
		case TriggerRelationId:
		case RewriteRelationId:
		case PolicyRelationId:
		case StatisticExtRelationId:
		case OperatorRelationId:
		case OperatorClassRelationId:
		case OperatorFamilyRelationId:
		case CollationRelationId:
		case ConversionRelationId:
		case TSConfigRelationId:
		case TSDictionaryRelationId:
		case TSParserRelationId:
		case TSTemplateRelationId:
			break;
		default:
			return false;
	}
	object.objectSubId = 0;
	if (object.classId == RelationRelationId)
	{
		char		kind = get_rel_relkind(object.objectId);

		if (kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX)
			object.objectId = IndexGetRelation(object.objectId, true);
	}
	/* a table's parts are named after it: schema, table, part */
	if (getObjectIdentityParts(&object, &parts, &args, true) == NULL || list_length(parts) < 2)
		return false;
	*schema = linitial(parts);
	*name = lsecond(parts);
	return true;
}

static void
check_object(const ObjectAddress *object, CommandTag tag)
{
	char	   *schema;
	char	   *name;

	if (name_of_object(*object, &schema, &name) && is_locked_name(schema, name))
		refuse_locked(tag, schema, name);
}

void
sd_gate_check_dropped(const ObjectAddress *object, CommandTag tag)
{
	check_object(object, tag);
}

void
sd_gate_check_made(List *objects, CommandTag tag)
{
	ListCell   *lc;

	/* what was made is not visible before */
	CommandCounterIncrement();
	foreach(lc, objects)
		check_object(lfirst(lc), tag);
}

static void
check_relation(Node *node, CommandTag tag)
{
	Oid			relation = IsA(node, RangeVar) ? sd_target_relation((RangeVar *) node) : InvalidOid;
	ObjectAddress object;

	ObjectAddressSet(object, RelationRelationId, relation);
	if (OidIsValid(relation))
		check_object(&object, tag);
}

/* The other tables of a statement: it is one on them, too.  (INHERITS, PARTITION OF, ATTACH, DETACH) */
static void
check_relatives(Node *stmt, CommandTag tag)
{
	ListCell   *lc;

	if (IsA(stmt, CreateStmt) || IsA(stmt, CreateForeignTableStmt))
		foreach(lc, ((CreateStmt *) stmt)->inhRelations)
			check_relation(lfirst(lc), tag);
	else if (IsA(stmt, AlterTableStmt))
		foreach(lc, ((AlterTableStmt *) stmt)->cmds)
		{
			Node	   *def = lfirst_node(AlterTableCmd, lc)->def;

			if (def && IsA(def, PartitionCmd))
				check_relation((Node *) ((PartitionCmd *) def)->name, tag);
			else if (def)
				check_relation(def, tag);
		}
}

/* ---- schemadrift.scope ---- */

static char *
local_patterns(const SdPolicy *policy)
{
	StringInfoData out;
	ListCell   *lc;

	if (policy->local == NIL)
		return "There are none";
	initStringInfo(&out);
	appendStringInfoString(&out, "They are: ");
	foreach(lc, policy->local)
		appendStringInfo(&out, "%s%s", foreach_current_index(lc) > 0 ? ", " : "", (char *) lfirst(lc));
	return out.data;
}

void
sd_gate_check_scope(CommandTag tag)
{
	const SdPolicy *policy = sd_gate_policy();

	if (sd_scope != SD_SCOPE_LOCAL)
		return;
	ereport(ERROR,
			(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
			 errmsg("%s is refused: this session changes local objects only", GetCommandTagName(tag)),
			 errdetail("schemadrift.scope is \"local\", and the statement has to do with an object that no pattern of policy "
					   "\"local\" matches. %s.\n%s", local_patterns(policy), sd_policy_says(policy, "local")),
			 errhint("RESET schemadrift.scope to change the schema of all regions, or add a pattern: "
					 "SELECT schemadrift.set_policy('{\"local\": [...]}').")));
}

void
sd_gate_require_group_scope(const char *function)
{
	if (sd_scope == SD_SCOPE_LOCAL)
		ereport(ERROR,
				(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
				 errmsg("schemadrift.%s() is refused: this session changes local objects only", function),
				 errdetail("schemadrift.scope is \"local\", and a migration changes the schema of all regions."),
				 errhint("RESET schemadrift.scope.")));
}

/* ---- statements ---- */

void
sd_gate_check_statement(Node *stmt, CommandTag tag)
{
	const SdPolicy *policy = sd_gate_policy();

	if (!sd_policy_is_locked(policy))
		return;
	if (policy->lock.all)
		refuse_locked(tag, NULL, NULL);
	if (sd_targets_of(stmt, is_locked_name) & SD_TARGET_LOCAL)
		refuse_locked(tag, met_schema, met_name);
	check_relatives(stmt, tag);
}

void
sd_gate_check_rows(const char *schema, const char *name)
{
	sd_gate_check_scope(CMDTAG_INSERT);
	if (!sd_gate_watches_lock())
		return;
	if (sd_gate_policy()->lock.all)
		refuse_locked(CMDTAG_INSERT, NULL, NULL);
	if (is_locked_name(schema, name))
		refuse_locked(CMDTAG_INSERT, met_schema, met_name);
}

void
sd_gate_check_text(const char *text)
{
	ListCell   *lc;

	if (!sd_gate_watches_lock())
		return;
	foreach(lc, sd_parse_quietly(text))
	{
		Node	   *stmt = lfirst_node(RawStmt, lc)->stmt;
		SdVerdict	verdict;

		sd_gate_classify(stmt, &verdict);
		if (verdict.class == SD_CLASS_COORDINATED || verdict.class == SD_CLASS_ALONE)
			sd_gate_check_statement(stmt, verdict.tag);
	}
}

/* ---- mode "require_apply" ---- */

void
sd_gate_refuse_plain(CommandTag tag)
{
	const SdPolicy *policy = sd_gate_policy();

	ereport(ERROR,
			(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
			 errmsg("%s is refused: schema changes here go through schemadrift.apply()", GetCommandTagName(tag)),
			 policy->mode == SD_MODE_REQUIRE_APPLY ? errdetail_internal("%s", sd_policy_says(policy, "mode")) :
			 errdetail("This session's schemadrift.ddl_mode is \"require_apply\"."),
			 errhint("Use SELECT schemadrift.apply('a name', 'the statements').")));
}

/* ---- policy "require_down" ---- */

void
sd_gate_require_down(const char *down, bool plain)
{
	const SdPolicy *policy = sd_gate_policy();

	if (down || !policy->require_down)
		return;
	ereport(ERROR,
			(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
			 errmsg("the schema change is refused: it has no recorded way back"),
			 errdetail("%s\n%s", plain ? "Plain DDL records none." : "It was given without \"down\".",
					   sd_policy_says(policy, "require_down")),
			 errhint("SELECT schemadrift.apply('a name', 'the statements', 'the statements that undo them').")));
}

/* ---- policy "require_dry_run" ---- */

/* A longer script nobody pastes. */
#define PASTED_BYTES	4000

static char *
dry_run_call(const char *up, const char *down, Jsonb *options)
{
	const char *frozen = sd_options_freeze_time(options, false) ? ", options => '{\"freeze_time\": true}'" : "";

	if (strlen(up) + (down ? strlen(down) : 0) > PASTED_BYTES)
		return psprintf("SELECT * FROM schemadrift.dry_run(up, down%s) of the same texts, to the byte.", frozen);
	return psprintf("SELECT * FROM schemadrift.dry_run(%s%s%s%s);", quote_literal_cstr(up), down ? ", " : "",
					down ? quote_literal_cstr(down) : "", frozen);
}

static const char *
dry_run_lacks(const char *up, const char *down, int64 within_ms)
{
	TimestampTz at;

	if (up == NULL)
		return "Plain DDL has no dry run that could be known to be of it.";
	if (!sd_dry_run_noted(up, down, &at))
		return "No dry run of these texts that found nothing bad is known in this region; the newest ones are kept, until the server restarts.";
	if (within_ms >= 0 && (GetCurrentTimestamp() - at) / 1000 >= within_ms)
		return psprintf("The newest dry run of these texts was at %s.", sd_time_text(at));
	return NULL;
}

void
sd_gate_require_dry_run(const char *up, const char *down, Jsonb *options)
{
	const SdPolicy *policy = sd_gate_policy();
	const char *lacks = policy->require_dry_run_ms == 0 ? NULL : dry_run_lacks(up, down, policy->require_dry_run_ms);

	if (lacks)
		ereport(ERROR,
				(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
				 errmsg("the schema change is refused: it was not tried in every region"),
				 errdetail("%s\n%s", lacks, sd_policy_says(policy, "require_dry_run")),
				 up ? errhint("%s", dry_run_call(up, down, options)) :
				 errhint("SELECT * FROM schemadrift.dry_run('the statements', 'the statements that undo them'), then schemadrift.apply() with the same.")));
}

/* ---- policy "roles" ---- */

/* Whatever the mode is now. */
static void
classify_by_policy(Node *stmt, SdVerdict *verdict)
{
	sd_classify(stmt, sd_gate_is_local_name, verdict);
	if (verdict->class != SD_CLASS_LOCAL || !sd_roles_is_statement(stmt) || !sd_gate_policy()->roles)
		return;
	verdict->reason = sd_roles_reason(stmt, &verdict->hint);
	verdict->class = verdict->reason ? SD_CLASS_REFUSED : SD_CLASS_COORDINATED;
}

void
sd_gate_classify(Node *stmt, SdVerdict *verdict)
{
	if (sd_roles_is_statement(stmt) && !sd_gate_mode_refuses(sd_gate_mode()))
		sd_classify(stmt, sd_gate_is_local_name, verdict);
	else
		classify_by_policy(stmt, verdict);
}

/* A witness shares what it likes: it has no schema, and runs nothing. */
static char *
find_shared_server(void)
{
	SdDatabase *db = sd_shared_mine();
	char	   *found = NULL;

	if (db == NULL)
		return NULL;
	LWLockAcquire(&db->lock, LW_SHARED);
	for (int i = 0; i < db->n_peers && !found; i++)
	{
		const SdPeerState *peer = &db->peers[i];

		if (peer->told.server == 0 || peer->told.standing.version == 0)
			continue;
		if (peer->told.server == sd_telemetry_server())
			found = psprintf("Regions \"%s\" and \"%s\" are databases of one server.", db->region, peer->region);
		for (int j = 0; j < i && !found; j++)
			if (db->peers[j].told.server == peer->told.server && db->peers[j].told.standing.version != 0)
				found = psprintf("Regions \"%s\" and \"%s\" are databases of one server.", db->peers[j].region, peer->region);
	}
	LWLockRelease(&db->lock);
	return found;
}

void
sd_gate_require_own_servers(const char *what)
{
	char	   *shared = find_shared_server();

	if (shared)
		ereport(ERROR,
				(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
				 errmsg("%s is refused: two regions share a server, and so its roles", what),
				 errdetail("%s What one of them has done with a role, the other would do again, later.", shared),
				 errhint("Leave roles to each region: SELECT schemadrift.set_policy('{\"roles\": \"local\"}').")));
}

/* ---- policy "freeze_time" ---- */

TimestampTz
sd_gate_freezes_at(Jsonb *options)
{
	return sd_options_freeze_time(options, sd_gate_policy()->freeze_time) ? GetCurrentTransactionStartTimestamp() : 0;
}

SdGroundRules
sd_gate_ground_rules(Jsonb *options)
{
	return (SdGroundRules) {
		.classify = classify_by_policy,
		.history = sd_gate_policy()->history_tables,
		.frozen_at = sd_gate_freezes_at(options)
	};
}

/* ---- schemadrift.allowed_roles ---- */

/*
 * Other regions have the same setting, most often with the same value: what this one would not run from the log they would
 * hold, too.  So it is refused here, where somebody can still do it otherwise.
 */
static void
require_allowed(const char *role)
{
	const char *why = sd_role_refused(role);

	if (why)
		ereport(ERROR,
				(errcode(sd_ask_refused(SD_ERRCODE_POLICY)),
				 errmsg("role \"%s\" may not change the schema of all regions", role),
				 errdetail("This region would not run it from the log either: %s.", why),
				 errhint("Use a role that is allowed, or allow this one in every region: %s", sd_role_allow_hint(role))));
}

void
sd_gate_require_allowed_run_as(const SdRunAs *run_as)
{
	require_allowed(run_as->session_user);
	require_allowed(run_as->user);
}

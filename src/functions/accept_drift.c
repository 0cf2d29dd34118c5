/*
 * accept_drift.c: schemadrift.accept_drift(): what this region has of its own becomes the group's.
 *
 * Runs in a backend of the region that drifted.  An entry is proposed whose text makes the others equal; here it runs nothing, since its
 * objects are here as it says.  Locking: as apply(); the text is made before the grant, because deparsers lock what they describe.
 */
#include "compat.h"

#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "ddl/beside.h"
#include "ddl/capture.h"
#include "ddl/classify.h"
#include "ddl/drift.h"
#include "ddl/fill.h"
#include "ddl/repair.h"
#include "ddl/script.h"
#include "ddl/targets.h"
#include "errors.h"
#include "functions/change.h"
#include "functions/group.h"
#include "gate/change.h"
#include "gate/policy.h"
#include "paste.h"
#include "store/drift.h"
#include "store/state.h"

PG_FUNCTION_INFO_V1(sd_accept_drift);

#define SHOWN_MAX	10
#define EVERYTHING	"*"

/* ---- which objects ---- */

static bool
is_called(const SdDriftRow *row, const char *object)
{
	return strcmp(object, EVERYTHING) == 0 || strcmp(row->identity, object) == 0 || strcmp(psprintf("%s %s", row->kind, row->identity), object) == 0;
}

static char *
object_lines(List *rows)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, rows)
		if (foreach_current_index(cell) < SHOWN_MAX)
			appendStringInfo(&out, "%s%s %s", out.len > 0 ? ", " : "", ((SdDriftRow *) lfirst(cell))->kind,
							 ((SdDriftRow *) lfirst(cell))->identity);
	return out.data;
}

static SdDriftRow *
find_object(List *rows, const char *object)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, rows)
		if (is_called(lfirst(cell), object))
			found = lappend(found, lfirst(cell));
	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("\"%s\" is no drift of this region", object),
				 rows == NIL ? errdetail("This region has none.") : errdetail_internal("Drift is: %s.", object_lines(rows)),
				 errhint("SELECT * FROM schemadrift.verify() looks again.")));
	if (list_length(found) > 1 && strcmp(object, EVERYTHING) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("\"%s\" is more than one object", object),
				 errdetail_internal("It is: %s.", object_lines(found)),
				 errhint("Name it with its kind, such as %s.", sd_paste_literal(object_lines(list_make1(linitial(found)))))));
	return linitial(found);
}

/* With what hangs on it: a table without its primary key would be another step, which made the index by the way. */
static List *
with_parts(List *rows, SdDriftRow *object)
{
	List	   *wanted = list_make1(object);
	ListCell   *cell;

	foreach(cell, rows)
		if (strcmp(((SdDriftRow *) lfirst(cell))->identity, object->identity) != 0 && sd_drift_hangs_on(lfirst(cell), object->identity))
			wanted = lappend(wanted, lfirst(cell));
	return wanted;
}

/*
 * Whatever it names must be in the other regions as it is here, or the statements fail there, and halt them: what has drifted itself is
 * to be accepted with it, or before.
 */
static void
require_needs(List *rows)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	List	   *needed;
	SdScope		scope;
	ListCell   *cell;

	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);

		kinds = lappend(kinds, row->kind);
		identities = lappend(identities, row->identity);
	}
	sd_store_enter(&scope);
	needed = sd_drift_needed(kinds, identities);
	sd_store_leave(&scope);
	if (needed != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what is to be accepted depends on what has drifted itself"),
				 errdetail_internal("In the other regions this is otherwise: %s.", object_lines(needed)),
				 errhint("Accept that first, such as %s, or all of it: '" EVERYTHING "'.", sd_paste_literal(object_lines(list_make1(linitial(needed)))))));
}

/* ---- what no region has by the log any more ---- */

/* What a region told of its drift, newest copy. */
typedef struct Told
{
	const char *region;
	List	   *rows;			/* of SdDriftRow */
} Told;

/* Of every other region that has a schema; list of Told. */
static List *
told_by_others(void)
{
	SdScope		scope;
	SdMembers	members;
	SdSelf		self;
	List	   *result = NIL;

	sd_store_enter(&scope);
	sd_members_read(&members);
	(void) sd_self_read(&self);
	for (int i = 0; i < members.config.n; i++)
	{
		Told	   *told;

		if (strcmp(members.config.member[i].region, self.region) == 0 || sd_members_is_witness(&members, i))
			continue;
		told = palloc(sizeof(Told));
		told->region = pstrdup(members.config.member[i].region);
		told->rows = sd_drift_rows(told->region);
		result = lappend(result, told);
	}
	sd_store_leave(&scope);
	return result;
}

/* The first region that has not told that it has the object as it is here; NULL: all have. */
static const char *
not_so_in(List *others, const SdDriftRow *row)
{
	ListCell   *cell;

	foreach(cell, others)
	{
		Told	   *told = lfirst(cell);
		SdDriftRow *there = sd_drift_row_of(told->rows, row->kind, row->identity);

		if (there == NULL || there->has_actual != row->has_actual ||
			(row->has_actual && memcmp(there->actual, row->actual, SD_OBJECT_HASH_SIZE) != 0))
			return told->region;
	}
	return NULL;
}

/*
 * There is nothing to run for it, because every region has it as it is here, and so none can tell how it was: a role that was renamed
 * everywhere is another owner of the same tables.  Else an error.
 */
static void
require_so_everywhere(List **others, const SdDriftRow *row)
{
	const char *region;

	if (*others == NIL)
		*others = told_by_others();
	region = not_so_in(*others, row);
	if (region)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is not known yet what %s %s is in the other regions", row->kind, row->identity),
				 errdetail("Its definition by the log is asked of them; none that has it was reached so far, and region \"%s\" has not told that it is there as it is here.",
						   region),
				 errhint("Try again in a moment; SELECT * FROM schemadrift.regions shows who is there.")));
}

/* ---- the text ---- */

/* *nothing: there is nothing to run for one of them or more. */
static List *
steps_for(List *rows, bool *nothing)
{
	List	   *objects = NIL;
	List	   *beside = NIL;
	List	   *others = NIL;
	List	   *steps;
	ListCell   *cell;

	foreach(cell, rows)
	{
		SdDriftRow *row = lfirst(cell);
		SdRepairObject *object = palloc0(sizeof(SdRepairObject));

		if (row->has_expected && row->expected_definition == NULL)
		{
			require_so_everywhere(&others, row);
			*nothing = true;
			continue;
		}
		if (sd_beside_kind_of(row->kind))
		{
			beside = list_concat(beside, sd_repair_beside(row->kind, row->identity, row->actual_definition, row->expected_definition));
			continue;
		}
		object->kind = row->kind;
		object->identity = row->identity;
		object->there = row->has_expected ? row->expected_definition : NULL;
		objects = lappend(objects, object);
	}
	/* after what makes the object */
	steps = list_concat(sd_repair_steps(objects), beside);
	sd_repair_sort(steps);
	return steps;
}

static void
pg_attribute_noreturn()
refuse_step(const SdRepairStep *step)
{
	if (step->phase == SD_REPAIR_LOSE)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("to accept %s %s would destroy data in the other regions", step->kind, step->identity),
				 errdetail_internal("It takes: %s%s%s", step->statement, step->note ? ": it " : "", step->note ? step->note : ""),
				 errhint("If that is wanted, say why: accept_drift(region, object, loss => 'reason').")));
	ereport(ERROR,
			(errcode(SD_ERRCODE_CANNOT_COORDINATE),
			 errmsg("there is no statement that makes %s %s in the other regions what it is here", step->kind, step->identity),
			 step->note ? errdetail_internal("%s", step->note) : 0,
			 errhint("Make it equal by hand, here or there: SELECT * FROM schemadrift.repair_plan().")));
}

/*
 * New labels of enums cannot be used in the transaction that adds them: where there are any, only their types are accepted now.
 */
static List *
with_labels_first(List *steps, List *rows, List **now, bool *nothing)
{
	List	   *labelled = NIL;
	ListCell   *cell;
	ListCell   *other;

	foreach(cell, rows)
		foreach(other, steps)
		{
			SdRepairStep *step = lfirst(other);
			SdDriftRow *row = lfirst(cell);

			if (step->phase == SD_REPAIR_LABELS && strcmp(step->kind, row->kind) == 0 && strcmp(step->identity, row->identity) == 0)
			{
				labelled = lappend(labelled, row);
				break;
			}
		}
	*now = rows;
	if (labelled == NIL || list_length(labelled) == list_length(rows))
		return steps;
	ereport(NOTICE,
			(errmsg("only new labels of enums are accepted now"),
			 errdetail("They cannot be used in the transaction that adds them. It is: %s.", object_lines(labelled)),
			 errhint("When this is committed, accept the rest by the same call.")));
	*now = labelled;
	*nothing = false;
	return steps_for(labelled, nothing);
}

/* As apply() refuses it.  A statement of our own making, of a table that is here.  True: it is equal because the time is frozen. */
static bool
require_equal_rows(const SdRepairStep *step, TimestampTz frozen_at)
{
	Node	   *stmt = linitial_node(RawStmt, sd_parse_quietly(step->statement))->stmt;
	SdVerdict	verdict = {.class = SD_CLASS_REFUSED,.tag = CreateCommandTag(stmt)};
	Oid			relation;

	if (!IsA(stmt, AlterTableStmt) || ((AlterTableStmt *) stmt)->objtype != OBJECT_TABLE)
		return false;
	relation = sd_target_relation(((AlterTableStmt *) stmt)->relation);
	if (!OidIsValid(relation))
		return false;
	verdict.reason = sd_fill_elsewhere(stmt, relation, step->identity, frozen_at, &verdict.hint);
	if (verdict.reason)
		sd_classify_refuse(&verdict);
	return frozen_at != 0 && sd_fill_elsewhere(stmt, relation, step->identity, 0, &verdict.hint) != NULL;
}

static char *
text_of(List *steps, const SdDriftRow *object, bool nothing, bool loses, bool *frozen)
{
	StringInfoData text;
	ListCell   *cell;
	/* the entry runs as the user of now, who may not be the one whom he connected as */
	char	   *as_before = psprintf("SET LOCAL ROLE %s", quote_identifier(GetUserNameFromId(GetUserId(), false)));

	initStringInfo(&text);
	foreach(cell, steps)
	{
		SdRepairStep *step = lfirst(cell);

		if ((step->phase == SD_REPAIR_LOSE && !loses) || step->phase == SD_REPAIR_CANNOT)
			refuse_step(step);
		*frozen |= require_equal_rows(step, sd_gate_freezes_at(NULL));
		/* as it was written: under any other path names without a schema may be others, and bodies are as they are in their region */
		if (text.len == 0)
			appendStringInfoString(&text, "SET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL check_function_bodies = off;\n");
		appendStringInfo(&text, "%s;\n", strcmp(step->statement, SD_REPAIR_ROLE_AS_BEFORE) == 0 ? as_before : step->statement);
	}
	if (text.len == 0 && nothing)
		appendStringInfoString(&text, "-- every region has it so");
	if (text.len == 0)
		ereport(ERROR,
				(errcode(SD_ERRCODE_CANNOT_COORDINATE),
				 errmsg("there is no statement that makes %s %s in the other regions what it is here", object->kind, object->identity)));
	return text.data;
}

/* ---- the call ---- */

static List *
read_rows(const char *region)
{
	SdScope		scope;
	SdSelf		self;
	List	   *rows;

	sd_store_enter(&scope);
	if (sd_self_read(&self) && strcmp(self.region, region) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the drift of region \"%s\" is accepted in that region", region),
				 errdetail("This is region \"%s\"; the statements are made from the schema that is to be accepted.", self.region),
				 errhint("Call schemadrift.accept_drift() there.")));
	rows = sd_drift_rows(NULL);
	sd_store_leave(&scope);
	return rows;
}

Datum
sd_accept_drift(PG_FUNCTION_ARGS)
{
	char	   *region = sd_group_text_arg(fcinfo, 0, "region");
	char	   *name = sd_group_text_arg(fcinfo, 1, "object");
	char	   *down = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *loss = PG_ARGISNULL(3) ? NULL : sd_group_text_arg(fcinfo, 3, "loss");
	SdDriftRow *object;
	List	   *steps;
	StringInfoData payload;
	List	   *rows;
	SdScript   *script;
	SdRunAs    *run_as;
	char	   *text;
	bool		frozen = false;
	bool		nothing = false;

	if (loss && loss[strspn(loss, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a loss needs a reason"),
				 errdetail("It is blank."),
				 errhint("Say why the rows may go; it is kept with the version. Without the argument nothing is accepted that would lose rows.")));
	sd_change_require("accept_drift");
	rows = read_rows(region);
	object = find_object(rows, name);
	if (strcmp(name, EVERYTHING) != 0)
		rows = with_parts(rows, object);
	steps = with_labels_first(steps_for(rows, &nothing), rows, &rows, &nothing);
	require_needs(rows);
	text = text_of(steps, object, nothing, loss != NULL, &frozen);

	script = sd_script_parse(text);
	if (down)
		(void) sd_script_parse(down);
	run_as = sd_capture_run_as();
	sd_gate_require_allowed_run_as(run_as);
	sd_gate_check_text(text);
	sd_change_set_subject(psprintf("accept %s %s", object->kind, object->identity));
	sd_capture_begin_script();
	sd_change_begin(sd_change_needs(sd_script_needs(script), run_as));
	sd_change_require("accept_drift");
	sd_change_notice();
	if (frozen)
		sd_change_freeze();
	initStringInfo(&payload);
	appendStringInfo(&payload, "%s" SD_ENTRY_ACCEPTS, sd_script_to_json(text, down, NULL, run_as));
	if (loss)
	{
		appendStringInfoString(&payload, ",\"loss\":");
		escape_json(&payload, loss);
	}
	sd_change_describe(SD_KIND_MIGRATION, psprintf("accept-%.8s", sd_uuid_text(sd_change_entry_id())), 0, payload.data, true);
	sd_change_accept(rows);
	PG_RETURN_INT64(sd_change_version());
}

/*
 * repair.c: schemadrift.repair_plan(): how a region is brought back to what the log says.
 *
 * Runs in a backend; reads, and changes nothing.  For each object that differs in that region, statements are made by a region in
 * which it is as the log says: this one, or another that is asked as a client.  What another region says is shown to a
 * person, with its name, and run by nobody else.
 */
#include "compat.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "attempt.h"
#include "ddl/beside.h"
#include "ddl/repair.h"
#include "functions/group.h"
#include "functions/regions.h"
#include "functions/sides.h"
#include "paste.h"
#include "peer/calls.h"
#include "store/drift.h"

PG_FUNCTION_INFO_V1(sd_repair_plan);

/* Bytes of definitions in one call. */
#define MOST_BYTES			(64 * 1024 * 1024)

typedef struct RepairPlan
{
	SdRegions	regions;
	const char *region;			/* the one that drifted */
	List	   *steps;			/* of SdRepairStep */
	List	   *wanted;			/* of SdRepairObject: nobody has said anything about them yet */
	StringInfoData silent;		/* why regions could not be asked */
	int			row;
	FunctionCallInfo fcinfo;
} RepairPlan;

/* ---- what differs ---- */

static void
add_remark(RepairPlan *plan, const SdDriftRow *row, char *note)
{
	SdRepairStep *step = palloc0(sizeof(SdRepairStep));

	step->phase = SD_REPAIR_CANNOT;
	step->kind = row->kind;
	step->identity = row->identity;
	step->note = note;
	plan->steps = lappend(plan->steps, step);
}

static void
read_drift(RepairPlan *plan, bool acknowledged)
{
	bool		own = strcmp(plan->region, plan->regions.self.region) == 0;
	List	   *rows;
	SdScope		scope;
	ListCell   *lc;

	sd_store_enter(&scope);
	rows = sd_drift_rows(own ? NULL : plan->region);
	sd_store_leave(&scope);
	foreach(lc, rows)
	{
		SdDriftRow *row = lfirst(lc);
		SdRepairObject *object = palloc0(sizeof(SdRepairObject));

		if (row->acknowledged && !acknowledged)
		{
			add_remark(plan, row, psprintf("may differ, since the region joined: %s; repair_plan(region, true) has it, too", row->acknowledged));
			continue;
		}
		if (row->has_actual && row->actual_definition == NULL)
		{
			add_remark(plan, row, pstrdup("its definition there is not known here, being too long or not told yet: ask in that region"));
			continue;
		}
		if (sd_beside_kind_of(row->kind) && row->expected_definition && row->actual_definition)
		{
			plan->steps = list_concat(plan->steps, sd_repair_beside(row->kind, row->identity, row->expected_definition, row->actual_definition));
			continue;
		}
		object->kind = row->kind;
		object->identity = row->identity;
		object->there = row->has_actual ? row->actual_definition : NULL;
		object->has_expected = row->has_expected;
		memcpy(object->expected.byte, row->expected, SD_DIGEST_LENGTH);
		plan->wanted = lappend(plan->wanted, object);
	}
}

/* ---- other regions ---- */

static const PGresult *
ask(SdClient *client, List *objects)
{
	List	   *kinds = NIL;
	List	   *identities = NIL;
	List	   *expected = NIL;
	List	   *definitions = NIL;
	const char *values[5];
	ListCell   *lc;

	foreach(lc, objects)
	{
		SdRepairObject *object = lfirst(lc);
		char	   *digest = palloc0(2 * SD_DIGEST_LENGTH + 1);

		if (object->has_expected)
			(void) hex_encode((const char *) object->expected.byte, SD_DIGEST_LENGTH, digest);
		kinds = lappend(kinds, unconstify(char *, object->kind));
		identities = lappend(identities, unconstify(char *, object->identity));
		expected = lappend(expected, digest);
		definitions = lappend(definitions, object->there ? psprintf("+%s", object->there) : "");
	}
	values[0] = psprintf("%d", sd_protocol_own());
	values[1] = sd_call_texts(kinds);
	values[2] = sd_call_texts(identities);
	values[3] = sd_call_texts(expected);
	values[4] = sd_call_texts(definitions);
	return sd_client_query(client, "SELECT kind, identity, phase, step_order, statement, note FROM schemadrift_rpc.repair($1,$2,$3,$4,$5)",
						   lengthof(values), NULL, values, true);
}

static int
int_cell(const PGresult *result, int row, int column)
{
	uint32		number;

	if (PQgetlength(result, row, column) != sizeof(number))
		return -1;
	memcpy(&number, PQgetvalue(result, row, column), sizeof(number));
	return (int) pg_ntoh32(number);
}

/* The object that we asked about; NULL: we did not. */
static SdRepairObject *
asked(List *objects, const char *kind, const char *identity)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		SdRepairObject *object = lfirst(lc);

		if (kind && identity && strcmp(object->kind, kind) == 0 && strcmp(object->identity, identity) == 0)
			return object;
	}
	return NULL;
}

/* The answer of a region about some objects; those that are otherwise there as well remain to be asked about. */
static List *
take_answer(RepairPlan *plan, const char *region, const PGresult *result, List *objects)
{
	List	   *others = NIL;

	for (int i = 0; i < PQntuples(result); i++)
	{
		char	   *kind = sd_client_text(result, i, 0);
		char	   *identity = sd_client_text(result, i, 1);
		SdRepairObject *object = asked(objects, kind, identity);
		SdRepairStep *step;
		char	   *note;

		if (PQgetisnull(result, i, 2))
		{
			if (object)
				others = lappend(others, object);
			continue;
		}
		/* what goes with an object that we asked about may be another one */
		step = palloc0(sizeof(SdRepairStep));
		step->phase = int_cell(result, i, 2);
		step->order = int_cell(result, i, 3);
		step->kind = kind;
		step->identity = identity;
		step->statement = sd_client_text(result, i, 4);
		note = sd_client_text(result, i, 5);
		step->note = note ? psprintf("%s (says region %s)", note, region) : psprintf("says region %s", region);
		if ((int) step->phase < SD_REPAIR_LABELS || step->phase >= SD_REPAIR_CANNOT || step->statement == NULL)
			step->phase = SD_REPAIR_CANNOT;
		if (kind && identity)
			plan->steps = lappend(plan->steps, step);
	}
	return others;
}

/* As many as one call may name: what has to be dropped and made again for several of them is known only within a call. */
static List *
take(List **list)
{
	List	   *part = NIL;
	size_t		bytes = 0;
	ListCell   *lc;

	foreach(lc, *list)
	{
		const SdRepairObject *object = lfirst(lc);

		bytes += object->there ? strlen(object->there) : 0;
		if (part != NIL && (list_length(part) == SD_REPAIR_MAX_OBJECTS || bytes > MOST_BYTES))
			break;
		part = lappend(part, lfirst(lc));
	}
	*list = list_delete_first_n(*list, list_length(part));
	return part;
}

/*
 * Errors of that region are told, and are no reason not to ask the next.  Between the braces are only calls of a client, which hold
 * nothing that an abort would have to clean up.
 */
static void
ask_region(RepairPlan *plan, const char *region)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *objects = plan->wanted;
	List	   *steps = list_copy(plan->steps);

	PG_TRY();
	{
		SdClient   *client = sd_region_connect(&plan->regions, region);
		List	   *rest = list_copy(objects);
		List	   *others = NIL;
		List	   *part;

		while ((part = take(&rest)) != NIL)
			others = list_concat(others, take_answer(plan, region, ask(client, part), part));
		sd_client_close(client);
		plan->wanted = others;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (sd_is_cancel(error))
			PG_RE_THROW();
		FlushErrorState();
		plan->steps = steps;	/* the next one is asked about all of it */
		appendStringInfo(&plan->silent, "%sregion %s: %s", plan->silent.len > 0 ? "; " : "", region, error->message);
	}
	PG_END_TRY();
}

static void
ask_others(RepairPlan *plan)
{
	const SdMembers *members = &plan->regions.members;
	ListCell   *lc;

	for (int i = 0; i < members->config.n && plan->wanted != NIL; i++)
	{
		const char *region = members->config.member[i].region;

		if (strcmp(region, plan->region) != 0 && strcmp(region, plan->regions.self.region) != 0 && !sd_members_is_witness(members, i))
			ask_region(plan, region);
	}
	foreach(lc, plan->wanted)
	{
		SdRepairObject *object = lfirst(lc);
		SdDriftRow	row = {.kind = unconstify(char *, object->kind), .identity = unconstify(char *, object->identity)};

		add_remark(plan, &row, psprintf("it is as the log says in no region that could be asked%s%s", plan->silent.len > 0 ? ": " : "", plan->silent.data));
	}
}

/* ---- rows ---- */

static void
put_row(RepairPlan *plan, const char *kind, const char *identity, const char *statement, const char *note)
{
	ReturnSetInfo *result = (ReturnSetInfo *) plan->fcinfo->resultinfo;
	const char *texts[] = {kind, identity, statement, note};
	Datum		values[5] = {Int32GetDatum(++plan->row)};
	bool		nulls[5] = {false};

	for (int i = 0; i < 4; i++)
	{
		nulls[i + 1] = texts[i] == NULL;
		if (texts[i])
			values[i + 1] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_steps(RepairPlan *plan, SdRepairPhase from, SdRepairPhase to)
{
	ListCell   *lc;

	foreach(lc, plan->steps)
	{
		SdRepairStep *step = lfirst(lc);

		if (step->phase < from || step->phase > to)
			continue;
		if (step->phase == SD_REPAIR_CANNOT)
			put_row(plan, step->kind, step->identity, NULL, psprintf("no statement: %s", step->note));
		else if (step->phase == SD_REPAIR_LOSE)
			/* a person has to decide */
			put_row(plan, step->kind, step->identity, psprintf("%s;", sd_paste_comment(step->statement)),
					psprintf("commented out, because it %s", step->note ? step->note : "cannot be taken back"));
		else
			put_row(plan, step->kind, step->identity, psprintf("%s;", step->statement), step->note);
	}
}

static void
put_plan(RepairPlan *plan)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, plan->steps)
		any |= ((SdRepairStep *) lfirst(lc))->phase != SD_REPAIR_CANNOT;
	if (any)
	{
		put_row(plan, "session", NULL, "SET schemadrift.ddl_mode = 'off';",
				psprintf("in region %s, as a superuser; read all of it before", plan->region));
		put_row(plan, "session", NULL, "SET schemadrift.bypass_reason = 'repair';", NULL);
		put_steps(plan, SD_REPAIR_LABELS, SD_REPAIR_LABELS);
		put_row(plan, "session", NULL, "BEGIN;", "all or nothing");
		put_row(plan, "session", NULL, "SET LOCAL search_path = pg_catalog, pg_temp;", NULL);
		put_row(plan, "session", NULL, "SET LOCAL check_function_bodies = off;", NULL);
		put_row(plan, "session", NULL, "SET LOCAL lock_timeout = '5s';", "rather than make the application wait behind it");
		put_steps(plan, SD_REPAIR_RENAME, SD_REPAIR_LOSE);
		put_row(plan, "session", NULL, "COMMIT;", NULL);
		put_row(plan, "session", NULL, "RESET schemadrift.ddl_mode;", "SELECT * FROM schemadrift.drift shows what is left");
	}
	put_steps(plan, SD_REPAIR_CANNOT, SD_REPAIR_CANNOT);
}

Datum
sd_repair_plan(PG_FUNCTION_ARGS)
{
	RepairPlan	plan = {.fcinfo = fcinfo};
	List	   *others = NIL;

	sd_regions_read(&plan.regions);
	plan.region = PG_ARGISNULL(0) ? plan.regions.self.region : text_to_cstring(PG_GETARG_TEXT_PP(0));
	(void) sd_group_find(&plan.regions.members, plan.region);
	initStringInfo(&plan.silent);
	read_drift(&plan, !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	plan.steps = list_concat(plan.steps, sd_repair_steps(sd_repair_sound(plan.wanted, &others)));
	plan.wanted = others;
	ask_others(&plan);
	sd_repair_sort(plan.steps);
	InitMaterializedSRF(fcinfo, 0);
	put_plan(&plan);
	if (plan.row == 0)
		ereport(NOTICE,
				(errmsg("as far as is known here, region \"%s\" is as the log says", plan.region)));
	return (Datum) 0;
}

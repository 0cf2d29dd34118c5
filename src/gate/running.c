/*
 * running.c: a statement of DDL under way, and what it touches while it runs; see running.h.
 *
 * Runs in every backend; takes no lock of its own.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "utils/memutils.h"

#include "ddl/capture.h"
#include "ddl/place.h"
#include "ddl/script.h"
#include "ddl/touched.h"
#include "errors.h"
#include "gate/internal.h"
#include "gate/policy.h"
#include "gate/running.h"
#include "gate/suspect.h"

static ProcessUtility_hook_type previous_utility = NULL;

static SdRunning *running = NULL;

/* Under a statement that changes no schema, whatever it does to catalogs. */
static bool passing = false;

const SdRunning *
sd_running_statement(void)
{
	return running;
}

bool
sd_running_any(void)
{
	return running != NULL;
}

void
sd_running_pass_on(const SdUtility *u)
{
	ErrorContextCallback callback;
	bool		entered = sd_doomed_enter(&callback);

	if (previous_utility)
		previous_utility(u->pstmt, u->query_string, u->read_only_tree, u->context,
						 u->params, u->environment, u->dest, u->completion);
	else
		standard_ProcessUtility(u->pstmt, u->query_string, u->read_only_tree, u->context,
								u->params, u->environment, u->dest, u->completion);
	if (entered)
		sd_doomed_leave(&callback);
}

void
sd_running_pass_by(const SdUtility *u)
{
	bool		was = passing;

	passing = true;
	PG_TRY();
	{
		sd_running_pass_on(u);
	}
	PG_FINALLY();
	{
		passing = was;
	}
	PG_END_TRY();
}

/* ---- objects that a statement touches ---- */

static void
note_place(SdRunning *statement, SdPlace place)
{
	statement->seen_temporary |= place == SD_PLACE_TEMPORARY;
	statement->seen_ordinary |= place == SD_PLACE_ORDINARY;
	statement->seen_other |= place == SD_PLACE_OTHER;
}

static List *
add_address(List *list, Oid class_id, Oid object_id, int sub_id)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, class_id, object_id, sub_id);
	list = lappend(list, address);
	MemoryContextSwitchTo(old);
	return list;
}

static void
note_object(SdRunning *statement, ObjectAccessType access, Oid class_id, Oid object_id, int sub_id)
{
	SdPlace		place;

	statement->seen = true;
	if (statement->watches_made && access != OAT_DROP)
		statement->made = add_address(statement->made, class_id, object_id, sub_id);
	if (statement->seen_ordinary)
		return;					/* nothing more to learn: CREATE EXTENSION may make thousands */
	place = sd_place_of(class_id, object_id);
	if (place == SD_PLACE_UNKNOWN)
		statement->unsettled = add_address(statement->unsettled, class_id, object_id, 0);
	else
		note_place(statement, place);
}

/* look again at what was not visible while it was being made */
static void
settle_objects(SdRunning *statement)
{
	ListCell   *cell;

	if (statement->unsettled == NIL)
		return;
	CommandCounterIncrement();
	foreach(cell, statement->unsettled)
	{
		ObjectAddress *address = lfirst(cell);

		note_place(statement, sd_place_of(address->classId, address->objectId));
	}
	list_free_deep(statement->unsettled);
	statement->unsettled = NIL;
}

void
sd_running_refuse_drop(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot drop extension schemadrift while this database is a region of a group"),
			 errdetail("The other regions would go on waiting for its vote."),
			 errhint("SELECT schemadrift.leave() first, or schemadrift.remove_region() in another region.")));
}

void
sd_running_object(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (running == NULL && sd_executing() == SD_EXECUTING_NOTHING)
	{
		if (!passing)
			sd_suspect_object(class_id, object_id);
		return;
	}
	/* by DROP OWNED or a CASCADE; the statement itself is looked at before it runs */
	if (access == OAT_DROP && class_id == ExtensionRelationId && object_id == get_extension_oid("schemadrift", true))
		sd_running_refuse_drop();
	if (running)
		note_object(running, access, class_id, object_id, sub_id);
	/* afterwards nobody knows what it was */
	if (running && running->watches_lock && access == OAT_DROP)
	{
		ObjectAddress dropped = {class_id, object_id, sub_id};

		sd_gate_check_dropped(&dropped, running->tag);
	}
	if ((running && running->collects) || sd_executing() != SD_EXECUTING_NOTHING)
		sd_touched_object_access(sd_capture_touched(), access, class_id, object_id, sub_id, arg);
}

/* ---- running it ---- */

void
sd_running_watch(const SdUtility *u, SdRunning *statement)
{
	statement->outer = running;
	running = statement;
	PG_TRY();
	{
		sd_running_pass_on(u);
		settle_objects(statement);
	}
	PG_FINALLY();
	{
		running = statement->outer;
	}
	PG_END_TRY();
}

void
sd_running_refuse_leaning(const SdRunning *statement, const SdVerdict *verdict)
{
	ListCell   *cell;

	if (statement->made == NIL)
		return;
	CommandCounterIncrement();
	foreach(cell, statement->made)
	{
		ObjectAddress *object = lfirst(cell);
		ObjectAddress on;

		if (sd_place_leans_on_temporary(object, &on))
			ereport(ERROR,
					(errcode(SD_ERRCODE_CANNOT_COORDINATE),
					 errmsg("%s cannot make a permanent object depend on a temporary one", GetCommandTagName(verdict->tag)),
					 errdetail("%s depends on %s, which exists in this session only.",
							   getObjectDescription(object, false), getObjectDescription(&on, false)),
					 errhint("Make it temporary too, by writing pg_temp before its name, or make the other one permanent.")));
	}
	list_free_deep(statement->made);
}

void
sd_running_init(void)
{
	previous_utility = ProcessUtility_hook;
}

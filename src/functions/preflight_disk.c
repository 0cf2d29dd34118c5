/*
 * preflight_disk.c: is there room for what a script writes anew; see preflight.h.
 *
 * Runs in backends.  A table that is rewritten is there twice until the commit, and so are its indexes, all of which are built again beside
 * it.  File systems are told apart by their device: tablespaces may share one.
 */
#include "compat.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "catalog/pg_class.h"
#include "catalog/pg_tablespace.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "analysis/analyze.h"
#include "analysis/facts.h"
#include "functions/preflight.h"
#include "paste.h"
#include "texts.h"

typedef struct Place
{
	const char *path;
	const char *tablespace;		/* the first that is written to; NULL: the database's */
	bool		known;			/* else each tablespace counts as a place of its own */
	dev_t		device;
	int64		free;			/* -1: cannot be told */
	int64		needed;
} Place;

static bool
is_same(const Place *a, const Place *b)
{
	return a->known && b->known ? a->device == b->device : strcmp(a->path, b->path) == 0;
}

/* Where a relation has its files. */
static Place *
place_of(List **places, Oid relation)
{
	Oid			tablespace = get_rel_tablespace(relation);
	bool		own = !OidIsValid(tablespace) || tablespace == MyDatabaseTableSpace;
	Place	   *place = palloc0(sizeof(Place));
	struct stat file;
	struct statvfs disk;
	ListCell   *cell;

	if (own)
		tablespace = MyDatabaseTableSpace;
	else
		place->tablespace = get_tablespace_name(tablespace);
	place->path = tablespace == DEFAULTTABLESPACE_OID ? psprintf("%s/base", DataDir) : psprintf("%s/pg_tblspc/%u", DataDir, tablespace);
	place->known = stat(place->path, &file) == 0;
	place->device = place->known ? file.st_dev : 0;
	foreach(cell, *places)
		if (is_same(lfirst(cell), place))
			return lfirst(cell);
	place->free = statvfs(place->path, &disk) == 0 ? (int64) disk.f_bavail * (int64) disk.f_frsize : -1;
	*places = lappend(*places, place);
	return place;
}

static void
write_anew(List **places, Oid relation)
{
	int64		bytes = sd_fact_bytes_of_all(list_make1_oid(relation));

	if (bytes > 0)
		place_of(places, relation)->needed += bytes;
}

static void
write_relation(List **places, Oid table, bool indexes_only)
{
	ListCell   *cell;

	/* of one without rows the indexes are next to nothing */
	if (sd_fact_bytes_of_all(list_make1_oid(table)) == 0)
		return;
	if (!indexes_only)
		write_anew(places, table);
	foreach(cell, sd_fact_indexes(table))
		write_anew(places, ((SdIndex *) lfirst(cell))->oid);
}

/* A partitioned table stands for its partitions, which may be named beside it. */
static List *
files_of(const SdStepRelation *relation)
{
	if (relation->members)
		return relation->members;
	return get_rel_relkind(relation->oid) == RELKIND_PARTITIONED_TABLE ? sd_fact_descendants(relation->oid) : list_make1_oid(relation->oid);
}

static void
write_step(List **places, const SdStep *step)
{
	List	   *tables = NIL;
	List	   *of_indexes = NIL;
	ListCell   *cell;

	foreach(cell, step->relations)
	{
		SdStepRelation *relation = lfirst(cell);

		if (relation->rewritten)
			tables = list_concat_unique_oid(tables, files_of(relation));
		else if (relation->indexes)
			of_indexes = list_concat_unique_oid(of_indexes, files_of(relation));
	}
	foreach(cell, tables)
		write_relation(places, lfirst_oid(cell), false);
	foreach(cell, of_indexes)
		if (!list_member_oid(tables, lfirst_oid(cell)))
			write_relation(places, lfirst_oid(cell), true);
}

static SdFinding *
judge(const Place *place)
{
	SdFinding  *finding = palloc(sizeof(SdFinding));
	char	   *what = psprintf("it writes %s anew%s", sd_text_of_bytes(place->needed),
								place->tablespace ? psprintf(" in tablespace %s", sd_paste_identifier(place->tablespace)) : "");

	if (place->free < 0)
		*finding = (SdFinding) {"disk", SD_FINDING_UNKNOWN, psprintf("%s; how much is free cannot be told", what), pstrdup("-- look with df")};
	else
		/* as much again of WAL, and what sorts */
		*finding = (SdFinding) {"disk", place->free < place->needed ? SD_FINDING_FAILED : place->free < 3 * place->needed ? SD_FINDING_WARNING : SD_FINDING_OK,
			psprintf("%s, and as much WAL; %s is free", what, sd_text_of_bytes(place->free)),
			pstrdup("-- make room, or take the safer form: SELECT * FROM schemadrift.analyze(...)")};
	return finding;
}

List *
sd_disk_findings(List *steps)
{
	List	   *places = NIL;
	List	   *findings = NIL;
	SdFinding  *nothing;
	ListCell   *cell;

	foreach(cell, steps)
		write_step(&places, lfirst(cell));
	foreach(cell, places)
		findings = lappend(findings, judge(lfirst(cell)));
	if (findings != NIL)
		return findings;
	nothing = palloc(sizeof(SdFinding));
	*nothing = (SdFinding) {"disk", SD_FINDING_OK, pstrdup("no table with rows is rewritten"), NULL};
	return list_make1(nothing);
}

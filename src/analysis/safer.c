/*
 * safer.c: what to run instead, as text to paste; see safer.h.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/safer.h"
#include "paste.h"

/* A statement of advice, ended by a semicolon that does not fall into a comment. */
static void
append_advice(StringInfo out, const char *text)
{
	const char *last = strrchr(text, '\n');
	const char *comment;

	last = last ? last + 1 : text;
	if (out->len)
		appendStringInfoChar(out, '\n');
	comment = strstr(last, "  -- ");
	if (strncmp(last, "--", 2) == 0)
		appendStringInfoString(out, text);
	else if (comment)
		appendStringInfo(out, "%.*s;%s", (int) (comment - text), text, comment);
	else
		appendStringInfo(out, "%s%s", text, text[strlen(text) - 1] == ';' ? "" : ";");
}

/* Columns that are there now, as a publication would list them. */
static char *
present_columns(const SdThing *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->oid));
	int			n = 0;
	StringInfoData out;

	initStringInfo(&out);
	if (HeapTupleIsValid(tuple))
	{
		n = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
		ReleaseSysCache(tuple);
	}
	for (AttrNumber number = 1; number <= n; number++)
	{
		Form_pg_attribute form;

		/* not one that was dropped */
		tuple = SearchSysCacheAttNum(table->oid, number);
		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!form->attgenerated)
			appendStringInfo(&out, "%s%s", out.len ? ", " : "", quote_identifier(NameStr(form->attname)));
		ReleaseSysCache(tuple);
	}
	return out.data;
}

/* Before a column is added to a published table its publications must list the old ones. */
static void
append_narrowing(StringInfo out, const SdForm *form, const SdMatch *match, const SdRule *rule)
{
	const SdCast *cast = match->casts ? linitial(match->casts) : NULL;
	SdReplicated replicated;
	ListCell   *cell;

	if (cast == NULL || !OidIsValid(cast->thing->oid) || rule->gate_class != SD_GATE_NARROW_FIRST)
		return;
	sd_fact_replicated(cast->thing->oid, InvalidOid, &replicated);
	if (!replicated.published || replicated.listed)
		return;
	foreach(cell, replicated.publications)
	{
		Publication *publication = GetPublicationByName(lfirst(cell), true);
		const char *name = sd_paste_identifier(lfirst(cell));

		if (publication == NULL)
			continue;
		if (publication->alltables || !SearchSysCacheExists2(PUBLICATIONRELMAP, ObjectIdGetDatum(cast->thing->oid),
															 ObjectIdGetDatum(publication->oid)))
			append_advice(out, psprintf("-- publication %s takes whole schemas or all tables, and so cannot list columns: make it name its tables first", name));
		else
			append_advice(out, psprintf("BEGIN; ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s (%s); COMMIT  -- in every region first",
										name, cast->shown, name, cast->shown, present_columns(cast->thing)));
	}
	append_advice(out, form->text);
	append_advice(out, "-- when every region has it: the same again with the new column in the list, and only then write it");
}

/* To validate is cheap in a transaction of its own only. */
static void
part_validation(StringInfo out)
{
	char	   *line = strchr(out->data, '\n');
	StringInfoData parted;

	initStringInfo(&parted);
	for (; line; line = strchr(line + 1, '\n'))
	{
		const char *next = line + 1;
		size_t		length = strcspn(next, "\n");
		char	   *text = pnstrdup(next, length);

		if (strncmp(text, "--", 2) != 0 && strstr(text, " VALIDATE CONSTRAINT "))
		{
			appendBinaryStringInfo(&parted, out->data, next - out->data);
			appendStringInfo(&parted, SD_SAFER_APART "\n%s", next);
			*out = parted;
			return;
		}
	}
}

char *
sd_safer(const SdForm *form, const SdMatch *match, const SdRule *rule)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	append_narrowing(&out, form, match, rule);
	if (out.len == 0)
	{
		foreach(cell, match->safer)
			append_advice(&out, lfirst(cell));
	}
	/* without names; that of G2 is about publications, of which there is none */
	if (out.len == 0 && rule->safer[0] && rule->gate_class != SD_GATE_NARROW_FIRST)
		append_advice(&out, rule->safer);
	part_validation(&out);
	return out.len ? out.data : NULL;
}

/*
 * safer.c: what to run instead, as text to paste; see safer.h.
 *
 * Runs in a backend; no locking of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "lib/stringinfo.h"
#include "nodes/nodes.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "analysis/facts.h"
#include "analysis/safer.h"
#include "paste.h"

static bool
is_comment(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n'))
	{
		line += *line == '\n';
		if (strncmp(line, "--", 2) != 0)
			return false;
	}
	return true;
}

/* A statement, ended by a semicolon, or lines of comment, with what is remarked of it. */
static void
append_advice(StringInfo out, const char *text, const char *remark)
{
	if (out->len)
		appendStringInfoChar(out, '\n');
	appendStringInfoString(out, text);
	if (!is_comment(text) && text[strlen(text) - 1] != ';')
		appendStringInfoChar(out, ';');
	if (remark)
		appendStringInfo(out, "  -- %s", remark);
}

/* Columns that are there now, as a publication would list them. */
static char *
present_columns(const SdThing *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->oid));
	AttrNumber	n = 0;
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

/* " WHERE (...)" of a publication's table; "": all rows. */
static char *
row_filter(HeapTuple published, const SdThing *table)
{
	bool		isnull;
	Datum		filter = SysCacheGetAttr(PUBLICATIONRELMAP, published, Anum_pg_publication_rel_prqual, &isnull);

	if (isnull)
		return pstrdup("");
	return psprintf(" WHERE (%s)", deparse_expression(stringToNode(TextDatumGetCString(filter)),
													  deparse_context_for(table->name, table->oid), false, false));
}

/* Before a column is added to a published table its publications must list the old ones.  Returns whether there are such. */
static bool
append_narrowing(StringInfo out, const SdMatch *match, const SdRule *rule)
{
	const SdCast *cast = match->casts ? linitial(match->casts) : NULL;
	SdReplicated replicated;
	ListCell   *cell;

	if (cast == NULL || !OidIsValid(cast->thing->oid) || rule->gate_class != SD_GATE_NARROW_FIRST)
		return false;
	sd_fact_replicated(cast->thing->oid, InvalidOid, &replicated);
	if (!replicated.published || replicated.listed)
		return false;
	foreach(cell, replicated.publications)
	{
		Publication *publication = GetPublicationByName(lfirst(cell), true);
		const char *name = sd_paste_identifier(lfirst(cell));
		HeapTuple	published;

		if (publication == NULL)
			continue;
		published = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(cast->thing->oid), ObjectIdGetDatum(publication->oid));
		if (!HeapTupleIsValid(published))
		{
			append_advice(out, psprintf("-- publication %s takes whole schemas or all tables, and so cannot list columns: make it name its tables first",
										name), NULL);
			continue;
		}
		append_advice(out, psprintf("BEGIN; ALTER PUBLICATION %s DROP TABLE %s; ALTER PUBLICATION %s ADD TABLE %s (%s)%s; COMMIT",
									name, cast->shown, name, cast->shown, present_columns(cast->thing), row_filter(published, cast->thing)),
					  "in every region first");
		ReleaseSysCache(published);
	}
	return true;
}

/* To validate is cheap in a transaction of its own only: not in one that has taken a stronger lock before. */
static void
part_validation(StringInfo out)
{
	StringInfoData parted;
	bool		holds = false;

	initStringInfo(&parted);
	for (char *line = out->data; *line;)
	{
		size_t		length = strcspn(line, "\n");
		char	   *text = pnstrdup(line, length);
		bool		validates = strstr(text, " VALIDATE CONSTRAINT ") != NULL;

		if (strncmp(text, "--", 2) != 0)
		{
			if (validates && holds)
				appendStringInfoString(&parted, SD_SAFER_APART "\n");
			holds = !validates;
		}
		appendBinaryStringInfo(&parted, line, length);
		line += length;
		if (*line == '\n')
		{
			appendStringInfoChar(&parted, '\n');
			line++;
		}
	}
	*out = parted;
}

/* The commands that stay as they are, in one statement. */
static void
append_rest(StringInfo out, const SdForm *form, List **rest)
{
	ListCell   *cell;
	StringInfoData text;

	if (*rest == NIL)
		return;
	initStringInfo(&text);
	foreach(cell, *rest)
		appendStringInfo(&text, "%s%s", text.len ? ", " : " ", (char *) lfirst(cell));
	append_advice(out, psprintf("%s%s", form->head, text.data), NULL);
	*rest = NIL;
}

/* What a match says instead of a command; -1: of all.  Returns whether it says anything. */
static bool
append_instead(StringInfo out, const SdMatch *match, int command)
{
	bool		any = false;
	ListCell   *cell;

	foreach(cell, match->safer)
	{
		const SdInstead *instead = lfirst(cell);

		if (command >= 0 && instead->command != command)
			continue;
		append_advice(out, instead->text, instead->remark);
		any = true;
	}
	return any;
}

/* The worst form that a command has and that there is something to say of; NULL: it stays as it is. */
static const SdMatch *
worst_of(const SdForm *form, const SdMatch *worst, int command)
{
	const SdMatch *found = NULL;
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, lcons(unconstify(SdMatch *, worst), list_copy(form->matches)))
	{
		const SdMatch *match = lfirst(cell);

		if (match->verdict == 0 || (found && found->verdict >= match->verdict))
			continue;
		foreach(inner, match->safer)
		{
			if (((SdInstead *) lfirst(inner))->command == command)
				found = match;
		}
	}
	return found;
}

/* Each command of an ALTER TABLE by the worst form that it has, in the order in which the server does them. */
static void
append_commands(StringInfo out, const SdForm *form, const SdMatch *worst)
{
	List	   *rest = NIL;
	ListCell   *cell;

	foreach(cell, form->order)
	{
		const SdMatch *match = worst_of(form, worst, lfirst_int(cell));

		if (match == NULL)
		{
			rest = lappend(rest, list_nth(form->commands, lfirst_int(cell)));
			continue;
		}
		append_rest(out, form, &rest);
		(void) append_instead(out, match, lfirst_int(cell));
	}
	append_rest(out, form, &rest);
}

/* Is there something to say of what has this form, and in names? */
static bool
is_worth_saying(const SdMatch *match)
{
	return match->verdict != 0 && match->safer != NIL;
}

/* The worst form, or if there is nothing to say of that in names another one that is as bad, or that there is no better advice than. */
static const SdMatch *
worth_saying(const SdForm *form, const SdMatch *worst, const SdRule *rule)
{
	bool		in_general = rule->safer[0] && rule->gate_class != SD_GATE_NARROW_FIRST;
	ListCell   *cell;

	if (is_worth_saying(worst))
		return worst;
	for (int verdict = worst->verdict; verdict > 0; verdict--)
	{
		foreach(cell, form->matches)
		{
			const SdMatch *match = lfirst(cell);

			if (is_worth_saying(match) && match->verdict == verdict)
				return match;
		}
		if (in_general)
			break;
	}
	return worst;
}

char *
sd_safer(const SdForm *form, const SdMatch *worst, const SdRule *rule)
{
	const SdMatch *match = worth_saying(form, worst, rule);
	StringInfoData out;
	bool		narrows;

	initStringInfo(&out);
	narrows = append_narrowing(&out, worst, rule);
	if (form->head && match->safer && !match->whole)
		append_commands(&out, form, match);
	else if (!append_instead(&out, match, -1) && narrows)
		append_advice(&out, form->text, NULL);
	if (narrows)
		append_advice(&out, "-- when every region has it: the same again with the new column in the list, and only then write it", NULL);
	/* without names; that of G2 is about publications, of which there is none */
	if (out.len == 0 && rule->safer[0] && rule->gate_class != SD_GATE_NARROW_FIRST)
		appendStringInfoString(&out, rule->safer);
	part_validation(&out);
	return out.len ? out.data : NULL;
}

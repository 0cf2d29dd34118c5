/*
 * preflight_extensions.c: would the same version of an extension come in every region?  See preflight.h.
 *
 * Runs in backends.  Reads the control files of the server, as view pg_available_extensions does.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "ddl/capture.h"
#include "functions/preflight.h"
#include "paste.h"
#include "store/sql.h"

#define NAMED	"named"
#define DEFAULT	"default"

typedef struct Available
{
	char	   *usual;			/* the version that comes if none is named; NULL: there is no such extension */
	char	   *all;			/* for people; NULL: none */
	bool		wanted;			/* the one that was asked for is among them */
} Available;

static void
look_up(const char *name, const char *version, Available *available)
{
	static SdStatement statement = {
		.sql = "SELECT (SELECT a.default_version FROM pg_available_extensions() a WHERE a.name = $1), string_agg(v.version, ', ' ORDER BY v.version), "
		"coalesce(bool_or(v.version = $2), false) FROM pg_available_extension_versions() v WHERE v.name = $1",
		.nargs = 2, .types = {TEXTOID, TEXTOID}
	};
	SdScope		scope;
	bool		isnull;

	sd_store_enter(&scope);
	sd_store_run(&statement, (Datum[]) {CStringGetTextDatum(name), CStringGetTextDatum(version)}, NULL, 1);
	available->usual = sd_store_text(0, 1);
	available->all = sd_store_text(0, 2);
	available->wanted = DatumGetBool(sd_store_value(0, 3, &isnull));
	sd_store_leave(&scope);
}

/* NULL: it does not name one */
static const char *
named_version(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "new_version") == 0)
			return defGetString(lfirst(cell));
	return NULL;
}

List *
sd_wanted_extensions(const char *up)
{
	List	   *wanted = NIL;
	ListCell   *cell;

	foreach(cell, sd_parse_quietly(up))
	{
		Node	   *stmt = lfirst_node(RawStmt, cell)->stmt;
		const char *name;
		const char *version;
		Available	available;

		if (IsA(stmt, CreateExtensionStmt))
		{
			name = ((CreateExtensionStmt *) stmt)->extname;
			version = named_version(((CreateExtensionStmt *) stmt)->options);
		}
		else if (IsA(stmt, AlterExtensionStmt))
		{
			name = ((AlterExtensionStmt *) stmt)->extname;
			version = named_version(((AlterExtensionStmt *) stmt)->options);
		}
		else
			continue;
		if (version == NULL)
			look_up(name, "", &available);
		if (version || available.usual)
			wanted = lappend(wanted, psprintf("%s\t%s\t%s", name, version ? version : available.usual, version ? NAMED : DEFAULT));
	}
	return wanted;
}

static SdFinding *
finding(const char *status, char *detail, char *remedy)
{
	SdFinding  *found = palloc(sizeof(SdFinding));

	*found = (SdFinding) {"extensions", status, detail, remedy};
	return found;
}

static SdFinding *
judge(const char *name, const char *version, bool named)
{
	Available	here;

	look_up(name, version, &here);
	/* that there is none says check "names" */
	if (here.usual == NULL)
		return NULL;
	if (named && !here.wanted)
		return finding(SD_FINDING_FAILED, psprintf("extension %s has no version %s there, only %s", name, version, here.all ? here.all : "none"),
					   sd_paste_comment(psprintf("install the files of %s %s on that server", name, version)));
	if (!named && strcmp(here.usual, version) != 0)
		return finding(SD_FINDING_WARNING, psprintf("extension %s would come as version %s there, as version %s where preflight() was called", name, here.usual, version),
					   here.wanted ? psprintf("CREATE EXTENSION %s VERSION %s; -- in the script, rather than there", sd_paste_identifier(name), sd_paste_literal(version)) :
					   sd_paste_comment(psprintf("install the files of %s %s on that server", name, version)));
	return finding(SD_FINDING_OK, psprintf("extension %s comes as version %s", name, version), NULL);
}

List *
sd_extension_findings(List *wanted)
{
	List	   *findings = NIL;
	ListCell   *cell;

	foreach(cell, wanted)
	{
		char	   *rest;
		char	   *line = pstrdup(lfirst(cell));
		char	   *name = strtok_r(line, "\t", &rest);
		char	   *version = strtok_r(NULL, "\t", &rest);
		char	   *kind = strtok_r(NULL, "\t", &rest);
		SdFinding  *found = kind ? judge(name, version, strcmp(kind, NAMED) == 0) : NULL;

		if (found)
			findings = lappend(findings, found);
	}
	return findings;
}

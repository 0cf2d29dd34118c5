/*
 * repair_rights.c: owner, privileges, comments, security labels and dependence on extensions elsewhere made what they are here;
 * see repair_item.h.
 *
 * Privileges are told as what differs from what the kind has by default (describe_properties.c): a grantee without a line has just
 * that.  Backends.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/formatting.h"

#include "ddl/beside.h"
#include "ddl/define.h"
#include "ddl/repair_item.h"
#include "texts.h"

/* --- properties --- */

/* "column x comment": the identifier, and " comment"; NULL: it is no property of that kind. */
static const char *
after_column(const char *property, char **column)
{
	const char *rest;

	if (strncmp(property, "column ", 7) != 0)
		return NULL;
	*column = sd_column_parse(property + 7)->identifier;
	rest = property + 7 + strlen(*column);
	return *rest == ' ' ? rest + 1 : NULL;
}

static bool
is_right_word(const char *word)
{
	return strcmp(word, "privileges") == 0 || strcmp(word, "comment") == 0 || strncmp(word, "security label ", 15) == 0;
}

bool
sd_repair_is_right(const char *property)
{
	char	   *column;
	const char *word = after_column(property, &column);

	if (word)
		return is_right_word(word);
	return is_right_word(property) || strcmp(property, "owner") == 0 || strcmp(property, "depends on extension") == 0;
}

/* --- roles and rights --- */

typedef struct Grant
{
	char	   *grantee;		/* as definitions have it: public, or in quotes */
	char	   *grantor;
	char	   *words;			/* "select, insert*", "all", "none" */
} Grant;

/* As SQL. */
static char *
role(const char *name)
{
	return strcmp(name, "public") == 0 ? pstrdup("PUBLIC") : sd_repair_quote(name);
}

/* Past a role's name. */
static const char *
skip_role(const char *text)
{
	if (*text != '"')
		return text + strcspn(text, " :");
	for (text++; *text && !(*text == '"' && text[1] != '"'); text++)
		text += *text == '"';
	return *text ? text + 1 : text;
}

static Grant *
parse_grant(const char *line)
{
	Grant	   *grant = palloc0(sizeof(Grant));
	const char *end = skip_role(line);

	grant->grantee = pnstrdup(line, end - line);
	if (strncmp(end, " by ", 4) == 0)
	{
		line = end + 4;
		end = skip_role(line);
		grant->grantor = pnstrdup(line, end - line);
	}
	else
		grant->grantor = pstrdup("");
	grant->words = pstrdup(strncmp(end, ": ", 2) == 0 ? end + 2 : "none");
	return grant;
}

/* With another name for who owns it, as ALTER ... OWNER TO will have made of it. */
static List *
parse_grants(List *lines, const char *owner, const char *new_owner)
{
	List	   *grants = NIL;
	ListCell   *lc;

	foreach(lc, lines)
	{
		Grant	   *grant = parse_grant(lfirst(lc));

		if (owner && strcmp(grant->grantee, owner) == 0)
			grant->grantee = pstrdup(new_owner);
		if (owner && strcmp(grant->grantor, owner) == 0)
			grant->grantor = pstrdup(new_owner);
		grants = lappend(grants, grant);
	}
	return grants;
}

static Grant *
find_grant(List *grants, const Grant *like)
{
	ListCell   *lc;

	foreach(lc, grants)
	{
		Grant	   *grant = lfirst(lc);

		if (strcmp(grant->grantee, like->grantee) == 0 && strcmp(grant->grantor, like->grantor) == 0)
			return grant;
	}
	return NULL;
}

/* --- GRANT and REVOKE --- */

typedef struct Target
{
	SdRepairItem *item;
	char	   *prefix;			/* ALTER DEFAULT PRIVILEGES ... */
	char	   *on;				/* ON TABLE public.t */
	char	   *column;			/* " (x)" after each word; "": all of it */
	const char *owner;			/* who has all rights by default; "": nobody */
	bool		public_usual;	/* PUBLIC has them by default */
} Target;

static const char *const right_words[] = {
	"select", "insert", "update", "delete", "truncate", "references", "trigger", "execute", "usage", "create", "maintain"
};

typedef struct Rights
{
	bool		all;
	bool		all_grantable;
	uint32		held;			/* bits, as in right_words; none with all */
	uint32		grantable;
} Rights;

static Rights
parse_rights(const char *words)
{
	Rights		rights = {0};

	rights.all = strncmp(words, "all", 3) == 0;
	rights.all_grantable = strcmp(words, "all*") == 0;
	while (*words)
	{
		size_t		length = strcspn(words, "*, ");

		for (size_t i = 0; i < lengthof(right_words); i++)
			if (strlen(right_words[i]) == length && strncmp(words, right_words[i], length) == 0)
			{
				rights.held |= 1 << i;
				if (words[length] == '*')
					rights.grantable |= 1 << i;
			}
		words += length;
		words += strspn(words, "*, ");
	}
	return rights;
}

/* "SELECT (x), INSERT (x)"; NULL: none. */
static char *
rights_text(const Target *target, uint32 rights)
{
	StringInfoData list;

	initStringInfo(&list);
	for (size_t i = 0; i < lengthof(right_words); i++)
		if (rights & (1 << i))
			appendStringInfo(&list, "%s%s%s", list.len > 0 ? ", " : "", asc_toupper(right_words[i], strlen(right_words[i])), target->column);
	return list.len > 0 ? list.data : NULL;
}

static void
give(const Target *target, const Grant *who, char *rights, bool grantable)
{
	if (rights)
		sd_repair_do(target->item, SD_REPAIR_MAKE, NULL, "%sGRANT %s %s TO %s%s", target->prefix, rights, target->on, role(who->grantee),
					 grantable ? " WITH GRANT OPTION" : "");
}

static void
take_back(const Target *target, const Grant *who, char *rights, bool option_only)
{
	if (rights)
		sd_repair_do(target->item, SD_REPAIR_MAKE, NULL, "%sREVOKE %s%s %s FROM %s", target->prefix, option_only ? "GRANT OPTION FOR " : "",
					 rights, target->on, role(who->grantee));
}

static void
change_grant(const Target *target, const Grant *who, const char *here, const char *there)
{
	Rights		ours = parse_rights(here);
	Rights		theirs = parse_rights(there);
	char	   *all = psprintf("ALL%s", target->column);

	if (ours.all || theirs.all)
	{
		/* which ones are all of them, the kind and the major decide */
		if (theirs.all || theirs.held)
			take_back(target, who, all, false);
		if (ours.all)
			give(target, who, all, ours.all_grantable);
		theirs = parse_rights("none");
	}
	take_back(target, who, rights_text(target, theirs.held & ~ours.held), false);
	take_back(target, who, rights_text(target, theirs.grantable & ours.held & ~ours.grantable), true);
	give(target, who, rights_text(target, ours.held & ~ours.grantable & ~theirs.held), false);
	give(target, who, rights_text(target, ours.grantable & ~theirs.grantable), true);
}

/* What the grantee has without a line. */
static const char *
usual_words(const Target *target, const Grant *who)
{
	bool		by_owner = *target->owner && strcmp(who->grantor, target->owner) == 0;
	bool		usual = strcmp(who->grantee, target->owner) == 0 || (target->public_usual && strcmp(who->grantee, "public") == 0);

	return by_owner && usual ? "all" : "none";
}

static void
change_grants_of(const Target *target, const Grant *who, const Grant *here, const Grant *there)
{
	const char *usual = usual_words(target, who);
	const char *ours = here ? here->words : usual;
	const char *theirs = there ? there->words : usual;
	bool		as_other = *target->owner && *who->grantor && strcmp(who->grantor, target->owner) != 0;

	if (strcmp(ours, theirs) == 0)
		return;
	/* a right is its grantor's to give and to take; a superuser is taken for the owner */
	if (as_other)
		sd_repair_do(target->item, SD_REPAIR_MAKE, "who granted it, and who now needs schemadrift_admin", "SET LOCAL ROLE %s", role(who->grantor));
	change_grant(target, who, ours, theirs);
	if (as_other)
		sd_repair_do(target->item, SD_REPAIR_MAKE, NULL, SD_REPAIR_ROLE_AS_BEFORE);
}

static void
change_privileges(const Target *target, const char *property)
{
	SdRepairItem *item = target->item;
	const char *owner = sd_repair_there(item, "owner");
	List	   *here = parse_grants(sd_properties_all(item->here, property), NULL, NULL);
	List	   *there = parse_grants(sd_properties_all(item->there, property), *owner ? owner : NULL, sd_repair_here(item, "owner"));
	ListCell   *lc;

	foreach(lc, there)
		if (find_grant(here, lfirst(lc)) == NULL)
			change_grants_of(target, lfirst(lc), NULL, lfirst(lc));
	foreach(lc, here)
		change_grants_of(target, lfirst(lc), lfirst(lc), find_grant(there, lfirst(lc)));
}

/* --- of which kind of object --- */

static bool
is_public_usual(const char *grant_word)
{
	static const char *const words[] = {"FUNCTION", "PROCEDURE", "ROUTINE", "TYPE", "LANGUAGE"};

	for (size_t i = 0; i < lengthof(words); i++)
		if (strcmp(grant_word, words[i]) == 0)
			return true;
	return false;
}

static void
object_privileges(SdRepairItem *item, const char *property, const char *column)
{
	Target		target = {.item = item, .prefix = "", .column = "", .owner = ""};

	if (item->how->grant == NULL)
		return;
	target.on = psprintf("ON %s %s", item->how->grant, item->name);
	if (column)
		target.column = psprintf(" (%s)", sd_repair_quote(column));
	else
	{
		target.owner = sd_repair_here(item, "owner");
		target.public_usual = is_public_usual(item->how->grant);
	}
	change_privileges(&target, property);
}

/* for role "x" in schema y on tables */
static void
default_privileges(SdRepairItem *item)
{
	Target		target = {.item = item, .column = "", .owner = ""};
	const char *name = item->identity + strlen("for role ");
	const char *on = strstr(skip_role(name), " on ");
	char	   *owner = pnstrdup(name, skip_role(name) - name);
	const char *schema = strstr(skip_role(name), " in schema ");

	if (on == NULL)
		return;
	while (strstr(on + 1, " on "))
		on = strstr(on + 1, " on ");
	target.on = asc_toupper(on + 1, strlen(on + 1));
	target.prefix = psprintf("ALTER DEFAULT PRIVILEGES FOR ROLE %s%s%s ", role(owner), schema ? " IN SCHEMA " : "",
							 schema ? sd_repair_quote(pnstrdup(schema + 11, on - schema - 11)) : "");
	if (schema == NULL)
	{
		target.owner = owner;
		target.public_usual = strcmp(on, " on functions") == 0 || strcmp(on, " on types") == 0;
	}
	change_privileges(&target, "privileges");
}

/* --- the rest --- */

static void
change_comment(SdRepairItem *item, const char *property, const char *called)
{
	char	   *comment = sd_properties_get(item->here, property);

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "COMMENT ON %s IS %s", called, comment ? quote_literal_cstr(comment) : "NULL");
}

static void
change_label(SdRepairItem *item, const char *property, const char *provider, const char *called)
{
	char	   *label = sd_properties_get(item->here, property);

	sd_repair_do(item, SD_REPAIR_MAKE, NULL, "SECURITY LABEL FOR %s ON %s IS %s", quote_identifier(provider), called,
				 label ? quote_literal_cstr(label) : "NULL");
}

static void
change_extensions(SdRepairItem *item)
{
	List	   *here = sd_properties_all(item->here, "depends on extension");
	List	   *there = sd_properties_all(item->there, "depends on extension");
	ListCell   *lc;

	foreach(lc, here)
		if (!sd_texts_have(there, lfirst(lc)))
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER %s DEPENDS ON EXTENSION %s", item->called, quote_identifier(lfirst(lc)));
	foreach(lc, there)
		if (!sd_texts_have(here, lfirst(lc)))
			sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER %s NO DEPENDS ON EXTENSION %s", item->called, quote_identifier(lfirst(lc)));
}

/* A sequence that a column owns has its table's owner, and cannot be given another. */
static void
change_owner(SdRepairItem *item)
{
	const char *owner = sd_repair_here(item, "owner");

	if (*owner && (strcmp(item->kind, "sequence") != 0 || *sd_repair_there(item, "owned by") == '\0'))
		sd_repair_do(item, SD_REPAIR_MAKE, NULL, "ALTER %s OWNER TO %s", item->called, role(owner));
}

static void
change_right(SdRepairItem *item, const char *property)
{
	char	   *column = NULL;
	const char *word = after_column(property, &column);
	char	   *called = word ? psprintf("COLUMN %s.%s", item->name, sd_repair_quote(column)) : item->called;

	if (word == NULL)
		word = property;
	if (strcmp(word, "privileges") == 0)
		object_privileges(item, property, word == property ? NULL : column);
	else if (strcmp(word, "comment") == 0)
		change_comment(item, property, called);
	else if (strncmp(word, "security label ", 15) == 0)
		change_label(item, property, word + 15, called);
	else if (strcmp(word, "depends on extension") == 0)
		change_extensions(item);
}

void
sd_repair_rights(SdRepairItem *item)
{
	ListCell   *lc;

	if (strcmp(item->kind, "default privileges") == 0)
	{
		default_privileges(item);
		return;
	}
	/* first: it changes the names in the privileges */
	if (sd_repair_differs(item, "owner"))
		change_owner(item);
	foreach(lc, item->differences)
	{
		const char *property = ((SdPropertyDifference *) lfirst(lc))->property;

		if (sd_repair_is_right(property))
			change_right(item, property);
	}
}

/* --- what no digest counts --- */

/* As a line of privileges says it. */
static SdProperty *
maintain_line(const Grant *who, const char *state)
{
	SdProperty *line = palloc(sizeof(SdProperty));

	line->name = pstrdup("privileges");
	line->value = psprintf("%s by %s: %s", who->grantee, who->grantor,
						   strcmp(state, "held*") == 0 ? "maintain*" : strcmp(state, "held") == 0 ? "maintain" : "none");
	return line;
}

/* Of those that are in one of the texts; who is in the other only has it here as the kind has it by default: an owner, who lost it there, has it. */
static List *
maintain_lines(List *ours, List *theirs)
{
	List	   *lines = NIL;
	ListCell   *lc;

	foreach(lc, ours)
		lines = lappend(lines, maintain_line(lfirst(lc), ((Grant *) lfirst(lc))->words));
	foreach(lc, theirs)
		if (find_grant(ours, lfirst(lc)) == NULL)
			lines = lappend(lines, maintain_line(lfirst(lc), strcmp(((Grant *) lfirst(lc))->words, "none") == 0 ? "held" : "none"));
	return lines;
}

/* Without a grantor: the owner. */
static List *
parse_maintain(const char *text, const char *owner)
{
	List	   *grants = parse_grants(sd_properties_all(sd_properties_parse(text), "maintain"), NULL, NULL);
	ListCell   *lc;

	foreach(lc, grants)
		if (*((Grant *) lfirst(lc))->grantor == '\0')
			((Grant *) lfirst(lc))->grantor = pstrdup(owner);
	return grants;
}

static char *
owner_of(const char *kind, const char *identity)
{
	List	   *found = sd_define(list_make1(unconstify(char *, kind)), list_make1(unconstify(char *, identity)), false);

	return found == NIL ? NULL : sd_properties_get(sd_properties_parse(((SdDefinition *) linitial(found))->definition), "owner");
}

List *
sd_repair_beside(const char *kind, const char *identity, const char *here, const char *there)
{
	const char *of = sd_beside_kind_of(kind);
	char	   *owner = owner_of(of, identity);
	List	   *ours = parse_maintain(here, owner ? owner : "");
	List	   *theirs = parse_maintain(there, owner ? owner : "");
	SdRepairPlan plan = {0};
	SdRepairItem item = {.plan = &plan, .kind = kind, .identity = identity, .how = sd_repair_kind(of)};

	item.here = maintain_lines(ours, theirs);
	item.there = maintain_lines(theirs, ours);
	if (strcmp(of, "default privileges") == 0)
		default_privileges(&item);
	else if (item.how)
	{
		if (owner)
		{
			SdProperty *property = palloc(sizeof(SdProperty));

			property->name = pstrdup("owner");
			property->value = owner;
			item.here = lappend(item.here, property);
		}
		item.name = sd_repair_quote(identity);
		object_privileges(&item, "privileges", NULL);
	}
	return plan.steps;
}

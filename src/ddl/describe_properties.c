/*
 * describe_properties.c: what any object can have beside its definition: privileges, comments, security labels; see describe.h.
 *
 * Privileges are told as what differs from what the object's kind has by default, because NULL and that list spelled out mean
 * the same.  MAINTAIN, of 17, is part of what GRANT ALL gives there, and so it depends on the major whether somebody has it
 * whom nobody gave it by name: it is told beside the definition (beside.h), and counts in no digest.
 *
 * Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_description.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "ddl/describe.h"
#include "ddl/names.h"

/* --- privileges --- */

static const struct
{
	AclMode		right;
	const char *word;
}			rights[] =
{
	{ACL_SELECT, "select"},
	{ACL_INSERT, "insert"},
	{ACL_UPDATE, "update"},
	{ACL_DELETE, "delete"},
	{ACL_TRUNCATE, "truncate"},
	{ACL_REFERENCES, "references"},
	{ACL_TRIGGER, "trigger"},
	{ACL_EXECUTE, "execute"},
	{ACL_USAGE, "usage"},
	{ACL_CREATE, "create"},
};

/* every right that an object of this kind knows */
static AclMode
all_rights(ObjectType type)
{
	switch (type)
	{
		case OBJECT_TABLE:
			return ACL_ALL_RIGHTS_RELATION;
		case OBJECT_COLUMN:
			return ACL_ALL_RIGHTS_COLUMN;
		case OBJECT_SEQUENCE:
			return ACL_ALL_RIGHTS_SEQUENCE;
		case OBJECT_FUNCTION:
			return ACL_ALL_RIGHTS_FUNCTION;
		case OBJECT_SCHEMA:
			return ACL_ALL_RIGHTS_SCHEMA;
		case OBJECT_TYPE:
			return ACL_ALL_RIGHTS_TYPE;
		case OBJECT_LANGUAGE:
			return ACL_ALL_RIGHTS_LANGUAGE;
		case OBJECT_FDW:
			return ACL_ALL_RIGHTS_FDW;
		case OBJECT_FOREIGN_SERVER:
			return ACL_ALL_RIGHTS_FOREIGN_SERVER;
		case OBJECT_LARGEOBJECT:
			return ACL_ALL_RIGHTS_LARGEOBJECT;
		default:
			return ACL_NO_RIGHTS;	/* a kind that a newer server gave privileges: words, never "all" */
	}
}

/* Without MAINTAIN. */
static AclItem
comparable(const AclItem *item)
{
	AclItem		result = *item;

	ACLITEM_SET_PRIVS_GOPTIONS(result, ACLITEM_GET_PRIVS(result) & ~SD_COMPAT_ACL_MAINTAIN,
							   ACLITEM_GET_GOPTIONS(result) & ~SD_COMPAT_ACL_MAINTAIN);
	return result;
}

/* A star says that the right may be handed on. */
static void
append_rights(StringInfo out, AclMode held, AclMode grantable, AclMode all)
{
	const char *separator = "";

	if (held == ACL_NO_RIGHTS && grantable == ACL_NO_RIGHTS)
		appendStringInfoString(out, "none");
	else if (held == all && (grantable == ACL_NO_RIGHTS || grantable == all))
		appendStringInfoString(out, grantable == all ? "all*" : "all");
	else
		for (size_t i = 0; i < lengthof(rights); i++)
			if (held & rights[i].right)
			{
				appendStringInfo(out, "%s%s%s", separator, rights[i].word, grantable & rights[i].right ? "*" : "");
				separator = ", ";
			}
}

static const AclItem *
find_item(const Acl *acl, Oid grantee, Oid grantor)
{
	for (int i = 0; acl && i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee == grantee && ACL_DAT(acl)[i].ai_grantor == grantor)
			return &ACL_DAT(acl)[i];
	return NULL;
}

static char *
item_text(Oid grantee, Oid grantor, AclMode held, AclMode grantable, AclMode all)
{
	StringInfoData line;

	initStringInfo(&line);
	sd_append_role(&line, grantee);
	appendStringInfoString(&line, " by ");
	sd_append_role(&line, grantor);
	appendStringInfoString(&line, ": ");
	append_rights(&line, held, grantable, all);
	return line.data;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* These rights as one word; NULL: who has nothing. */
static const char *
held_word(const AclItem *item, AclMode rights)
{
	if (item && (ACLITEM_GET_GOPTIONS(*item) & rights) == rights)
		return "held*";
	return item && (ACLITEM_GET_PRIVS(*item) & rights) == rights ? "held" : "none";
}

/* The owner is who grants by default, and is left out: another owner is no other privilege. */
static char *
maintain_text(const AclItem *item, const AclItem *usual_item, const Acl *usual)
{
	const char *word = held_word(item, SD_COMPAT_ACL_MAINTAIN);
	StringInfoData line;

	if (strcmp(word, held_word(usual_item, SD_COMPAT_ACL_MAINTAIN)) == 0)
		return NULL;
	initStringInfo(&line);
	sd_append_role(&line, item->ai_grantee);
	if (usual == NULL || ACL_NUM(usual) == 0 || ACL_DAT(usual)[0].ai_grantor != item->ai_grantor)
	{
		appendStringInfoString(&line, " by ");
		sd_append_role(&line, item->ai_grantor);
	}
	appendStringInfo(&line, ": %s", word);
	return line.data;
}

/* Whose MAINTAIN is not what the kind has by default. */
static void
put_maintain(SdDescription *description, const Acl *acl, const Acl *usual)
{
	char	  **lines = palloc((ACL_NUM(acl) + (usual ? ACL_NUM(usual) : 0) + 1) * sizeof(char *));
	int			n = 0;

	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		/* all others together are what ALL means where there is no MAINTAIN */
		if (strcmp(held_word(item, SD_COMPAT_ACL_MAINTAIN), held_word(item, ACL_ALL_RIGHTS_RELATION & ~SD_COMPAT_ACL_MAINTAIN)) != 0)
			description->beside_apart = true;
		lines[n] = maintain_text(item, find_item(usual, item->ai_grantee, item->ai_grantor), usual);
		n += lines[n] != NULL;
	}
	/* and who lost all that he has by default */
	for (int i = 0; usual && i < ACL_NUM(usual); i++)
	{
		AclItem		none = ACL_DAT(usual)[i];

		if (find_item(acl, none.ai_grantee, none.ai_grantor))
			continue;
		ACLITEM_SET_PRIVS_GOPTIONS(none, ACL_NO_RIGHTS, ACL_NO_RIGHTS);
		lines[n] = maintain_text(&none, &ACL_DAT(usual)[i], usual);
		n += lines[n] != NULL;
	}
	qsort(lines, n, sizeof(char *), compare_strings);
	for (int i = 0; i < n; i++)
		sd_put_beside(description, "maintain", lines[i]);
}

void
sd_put_privileges(SdDescription *description, const char *property, Datum value, ObjectType type, const Acl *usual)
{
	const Acl  *acl = DatumGetAclP(value);
	AclItem		everything = {0};
	AclMode		all;
	char	  **lines = palloc((ACL_NUM(acl) + (usual ? ACL_NUM(usual) : 0) + 1) * sizeof(char *));
	int			n = 0;

	ACLITEM_SET_PRIVS_GOPTIONS(everything, all_rights(type), ACL_NO_RIGHTS);
	everything = comparable(&everything);
	all = ACLITEM_GET_PRIVS(everything);

	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		AclItem		item = comparable(&ACL_DAT(acl)[i]);
		const AclItem *other = find_item(usual, item.ai_grantee, item.ai_grantor);

		/* who has nothing but MAINTAIN has nothing */
		if (other ? comparable(other).ai_privs != item.ai_privs : item.ai_privs != ACL_NO_RIGHTS)
			lines[n++] = item_text(item.ai_grantee, item.ai_grantor,
								   ACLITEM_GET_PRIVS(item), ACLITEM_GET_GOPTIONS(item), all);
	}
	/* what the default gives and was taken away */
	for (int i = 0; usual && i < ACL_NUM(usual); i++)
	{
		const AclItem *item = &ACL_DAT(usual)[i];

		if (find_item(acl, item->ai_grantee, item->ai_grantor) == NULL)
			lines[n++] = item_text(item->ai_grantee, item->ai_grantor, ACL_NO_RIGHTS, ACL_NO_RIGHTS, all);
	}
	qsort(lines, n, sizeof(char *), compare_strings);
	for (int i = 0; i < n; i++)
		sd_put(description, property, lines[i]);
	if (SD_COMPAT_ACL_MAINTAIN != ACL_NO_RIGHTS && type == OBJECT_TABLE)
		put_maintain(description, acl, usual);
}

/* --- comments, security labels, extensions that an object is to be dropped with --- */

typedef struct Note
{
	int			column;			/* 0: the object itself */
	char	   *provider;		/* of a label; NULL: a comment */
	char	   *text;
	Oid			extension;		/* valid: it depends on this extension, and that is all */
} Note;

typedef struct NotedObject
{
	Oid			key[2];			/* classid, objid */
	List	   *notes;			/* of Note */
} NotedObject;

static Note *
comment_note(HeapTuple tuple, TupleDesc descriptor)
{
	Form_pg_description comment = (Form_pg_description) GETSTRUCT(tuple);
	Note	   *note = palloc0(sizeof(Note));
	bool		isnull;

	note->column = comment->objsubid;
	note->text = TextDatumGetCString(heap_getattr(tuple, Anum_pg_description_description, descriptor, &isnull));
	return note;
}

static Note *
label_note(HeapTuple tuple, TupleDesc descriptor)
{
	Note	   *note = palloc0(sizeof(Note));
	bool		isnull;

	note->column = ((FormData_pg_seclabel *) GETSTRUCT(tuple))->objsubid;
	note->provider = TextDatumGetCString(heap_getattr(tuple, Anum_pg_seclabel_provider, descriptor, &isnull));
	note->text = TextDatumGetCString(heap_getattr(tuple, Anum_pg_seclabel_label, descriptor, &isnull));
	return note;
}

static Note *
extension_note(Oid extension)
{
	Note	   *note = palloc0(sizeof(Note));

	note->extension = extension;
	return note;
}

static void
keep_note(HTAB *notes, Oid classid, Oid objid, Note *note)
{
	Oid			key[2] = {classid, objid};
	bool		found;
	NotedObject *object = hash_search(notes, key, HASH_ENTER, &found);

	if (!found)
		object->notes = NIL;
	object->notes = lappend(object->notes, note);
}

/* initdb makes five thousand comments; of what it makes only schema public and plpgsql can be covered */
static bool
may_be_covered(Oid classid, Oid objid)
{
	return objid >= FirstNormalObjectId || classid == NamespaceRelationId || classid == ExtensionRelationId;
}

HTAB *
sd_read_notes(void)
{
	HASHCTL		control = {.keysize = 2 * sizeof(Oid), .entrysize = sizeof(NotedObject), .hcxt = CurrentMemoryContext};
	HTAB	   *notes = hash_create("schemadrift notes", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;

	catalog = table_open(DescriptionRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_description comment = (Form_pg_description) GETSTRUCT(tuple);

		if (may_be_covered(comment->classoid, comment->objoid))
			keep_note(notes, comment->classoid, comment->objoid, comment_note(tuple, RelationGetDescr(catalog)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	catalog = table_open(SecLabelRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		FormData_pg_seclabel *label = (FormData_pg_seclabel *) GETSTRUCT(tuple);

		keep_note(notes, label->classoid, label->objoid, label_note(tuple, RelationGetDescr(catalog)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return notes;
}

void
sd_note_extension(HTAB *notes, Oid classid, Oid objid, Oid extension)
{
	keep_note(notes, classid, objid, extension_note(extension));
}

static List *
read_comments_of(List *notes, Oid classid, Oid objid)
{
	Relation	catalog = table_open(DescriptionRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_description_objoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	ScanKeyInit(&keys[1], Anum_pg_description_classoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(classid));
	scan = systable_beginscan(catalog, DescriptionObjIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		notes = lappend(notes, comment_note(tuple, RelationGetDescr(catalog)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return notes;
}

static List *
read_labels_of(List *notes, Oid classid, Oid objid)
{
	Relation	catalog = table_open(SecLabelRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_seclabel_objoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	ScanKeyInit(&keys[1], Anum_pg_seclabel_classoid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(classid));
	scan = systable_beginscan(catalog, SecLabelObjectIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		notes = lappend(notes, label_note(tuple, RelationGetDescr(catalog)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return notes;
}

/* ALTER ... DEPENDS ON EXTENSION is for these only */
static List *
read_extensions_of(List *notes, Oid classid, Oid objid)
{
	ListCell   *cell;

	if (classid != RelationRelationId && classid != ProcedureRelationId && classid != TriggerRelationId)
		return notes;
	foreach(cell, getAutoExtensionsOfObject(classid, objid))
		notes = lappend(notes, extension_note(lfirst_oid(cell)));
	return notes;
}

static List *
notes_of(SdDescriber *describer, Oid classid, Oid objid)
{
	Oid			key[2] = {classid, objid};
	NotedObject *object;
	List	   *notes;

	if (describer->notes)
	{
		object = hash_search(describer->notes, key, HASH_FIND, NULL);
		return object ? object->notes : NIL;
	}
	notes = read_comments_of(NIL, classid, objid);
	notes = read_labels_of(notes, classid, objid);
	return read_extensions_of(notes, classid, objid);
}

bool
sd_has_notes(SdDescriber *describer, Oid classid, Oid objid)
{
	return notes_of(describer, classid, objid) != NIL;
}

typedef struct Line
{
	char	   *property;
	char	   *value;
} Line;

static int
compare_lines(const void *a, const void *b)
{
	const Line *left = a;
	const Line *right = b;
	int			result = strcmp(left->property, right->property);

	return result != 0 ? result : strcmp(left->value, right->value);
}

static Line
note_line(const Note *note, Oid relation)
{
	StringInfoData property;
	Line		line;

	if (OidIsValid(note->extension))
	{
		line.property = "depends on extension";
		line.value = get_extension_name(note->extension);
		return line;
	}
	initStringInfo(&property);
	if (note->column != 0)
	{
		appendStringInfoString(&property, "column ");
		sd_append_column(&property, relation, note->column);
		appendStringInfoChar(&property, ' ');
	}
	if (note->provider)
		appendStringInfo(&property, "security label %s", note->provider);
	else
		appendStringInfoString(&property, "comment");
	line.property = property.data;
	line.value = note->text;
	return line;
}

void
sd_put_notes(SdDescriber *describer, SdDescription *description, Oid classid, Oid objid)
{
	List	   *notes = notes_of(describer, classid, objid);
	Line	   *lines;
	int			n = 0;
	ListCell   *cell;

	if (notes == NIL)
		return;
	lines = palloc(list_length(notes) * sizeof(Line));
	foreach(cell, notes)
		lines[n++] = note_line(lfirst(cell), objid);
	qsort(lines, n, sizeof(Line), compare_lines);
	for (int i = 0; i < n; i++)
		sd_put(description, lines[i].property, lines[i].value);
}

/*
 * describe.c: canonical definitions: what is covered, building blocks, schemas and extensions; see describe.h.
 *
 * describe_relation.c, describe_attached.c (constraints, triggers, rules, policies), describe_type.c, describe_function.c,
 * describe_operator.c, describe_text.c and describe_other.c have the other kinds, describe_properties.c what all of them can
 * have.  Backend and workers, inside a transaction.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/canonical.h"
#include "ddl/classify.h"
#include "ddl/describe.h"
#include "ddl/local.h"
#include "ddl/names.h"

static bool describe_schema(SdDescriber *describer, HeapTuple tuple, SdDescription *description);
static bool describe_extension(SdDescriber *describer, HeapTuple tuple, SdDescription *description);

typedef struct Catalog
{
	Oid			classid;
	AttrNumber	oid_column;
	bool		(*describe) (SdDescriber *describer, HeapTuple tuple, SdDescription *description);
	AttrNumber	owner_column;	/* 0: none */
	AttrNumber	acl_column;		/* 0: none */
	ObjectType	acl_type;		/* whose privileges it knows */
} Catalog;

#define NO_OWNER	0, 0, 0

/* A new kind of object is a row here. */
static const Catalog catalogs[] = {
	{NamespaceRelationId, Anum_pg_namespace_oid, describe_schema,
	Anum_pg_namespace_nspowner, Anum_pg_namespace_nspacl, OBJECT_SCHEMA},
	{RelationRelationId, Anum_pg_class_oid, sd_describe_relation,
	Anum_pg_class_relowner, Anum_pg_class_relacl, OBJECT_TABLE},
	{ConstraintRelationId, Anum_pg_constraint_oid, sd_describe_constraint, NO_OWNER},
	{TriggerRelationId, Anum_pg_trigger_oid, sd_describe_trigger, NO_OWNER},
	{RewriteRelationId, Anum_pg_rewrite_oid, sd_describe_rule, NO_OWNER},
	{PolicyRelationId, Anum_pg_policy_oid, sd_describe_policy, NO_OWNER},
	{StatisticExtRelationId, Anum_pg_statistic_ext_oid, sd_describe_statistics,
	Anum_pg_statistic_ext_stxowner, 0, 0},
	{TypeRelationId, Anum_pg_type_oid, sd_describe_type,
	Anum_pg_type_typowner, Anum_pg_type_typacl, OBJECT_TYPE},
	{ProcedureRelationId, Anum_pg_proc_oid, sd_describe_function,
	Anum_pg_proc_proowner, Anum_pg_proc_proacl, OBJECT_FUNCTION},
	{OperatorRelationId, Anum_pg_operator_oid, sd_describe_operator,
	Anum_pg_operator_oprowner, 0, 0},
	{OperatorClassRelationId, Anum_pg_opclass_oid, sd_describe_opclass,
	Anum_pg_opclass_opcowner, 0, 0},
	{OperatorFamilyRelationId, Anum_pg_opfamily_oid, sd_describe_opfamily,
	Anum_pg_opfamily_opfowner, 0, 0},
	{CastRelationId, Anum_pg_cast_oid, sd_describe_cast, NO_OWNER},
	{AccessMethodRelationId, Anum_pg_am_oid, sd_describe_access_method, NO_OWNER},
	{CollationRelationId, Anum_pg_collation_oid, sd_describe_collation,
	Anum_pg_collation_collowner, 0, 0},
	{ConversionRelationId, Anum_pg_conversion_oid, sd_describe_conversion,
	Anum_pg_conversion_conowner, 0, 0},
	{TSParserRelationId, Anum_pg_ts_parser_oid, sd_describe_ts_parser, NO_OWNER},
	{TSTemplateRelationId, Anum_pg_ts_template_oid, sd_describe_ts_template, NO_OWNER},
	{TSDictionaryRelationId, Anum_pg_ts_dict_oid, sd_describe_ts_dictionary,
	Anum_pg_ts_dict_dictowner, 0, 0},
	{TSConfigRelationId, Anum_pg_ts_config_oid, sd_describe_ts_configuration,
	Anum_pg_ts_config_cfgowner, 0, 0},
	{LanguageRelationId, Anum_pg_language_oid, sd_describe_language,
	Anum_pg_language_lanowner, Anum_pg_language_lanacl, OBJECT_LANGUAGE},
	{TransformRelationId, Anum_pg_transform_oid, sd_describe_transform, NO_OWNER},
	{ForeignDataWrapperRelationId, Anum_pg_foreign_data_wrapper_oid, sd_describe_foreign_data_wrapper,
	Anum_pg_foreign_data_wrapper_fdwowner, Anum_pg_foreign_data_wrapper_fdwacl, OBJECT_FDW},
	{ForeignServerRelationId, Anum_pg_foreign_server_oid, sd_describe_server,
	Anum_pg_foreign_server_srvowner, Anum_pg_foreign_server_srvacl, OBJECT_FOREIGN_SERVER},
	{EventTriggerRelationId, Anum_pg_event_trigger_oid, sd_describe_event_trigger,
	Anum_pg_event_trigger_evtowner, 0, 0},
	{DefaultAclRelationId, Anum_pg_default_acl_oid, sd_describe_default_privileges, NO_OWNER},
	/* no ALTER EXTENSION changes its owner, and no dump keeps it */
	{ExtensionRelationId, Anum_pg_extension_oid, describe_extension, NO_OWNER},
};

/* Rows with an OID that are described with the object they are part of. */
static const Oid parts[] = {
	AttrDefaultRelationId,		/* of its table */
	AccessMethodOperatorRelationId, /* of its operator family */
	AccessMethodProcedureRelationId,
	EnumRelationId,				/* of its type */
};

SdCoverage
sd_coverage_of(Oid classid)
{
	for (size_t i = 0; i < lengthof(catalogs); i++)
		if (catalogs[i].classid == classid)
			return SD_COVERAGE_OBJECT;
	for (size_t i = 0; i < lengthof(parts); i++)
		if (parts[i] == classid)
			return SD_COVERAGE_PART;
	return sd_is_local_catalog(classid) ? SD_COVERAGE_LOCAL : SD_COVERAGE_UNKNOWN;
}

int
sd_described_catalogs(const Oid **oids)
{
	static Oid	list[lengthof(catalogs)];

	for (size_t i = 0; i < lengthof(catalogs); i++)
		list[i] = catalogs[i].classid;
	*oids = list;
	return lengthof(catalogs);
}

typedef struct NamespaceEntry
{
	Oid			oid;
	bool		covered;
} NamespaceEntry;

typedef struct MemberKey
{
	Oid			classid;
	Oid			objid;
} MemberKey;

static bool
is_covered_name(const char *name)
{
	/* also other sessions' temporary schemas, even abandoned ones, and pg_toast */
	return strncmp(name, "pg_", 3) != 0 &&
		strcmp(name, "information_schema") != 0 &&
		!sd_is_own_schema(name);
}

bool
sd_name_is_covered(SdDescriber *describer, Oid namespace, const char *name)
{
	bool		found;
	NamespaceEntry *entry = hash_search(describer->namespaces, &namespace, HASH_ENTER, &found);

	if (!found)
	{
		HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(namespace));

		entry->covered = HeapTupleIsValid(tuple) &&
			is_covered_name(NameStr(((Form_pg_namespace) GETSTRUCT(tuple))->nspname));
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
	}
	return entry->covered &&
		(describer->local == NIL || !sd_local_matches(describer->local, get_namespace_name(namespace), name));
}

bool
sd_is_extension_member(SdDescriber *describer, Oid classid, Oid objid)
{
	MemberKey	key = {classid, objid};

	if (describer->members)
		return hash_search(describer->members, &key, HASH_FIND, NULL) != NULL;
	return OidIsValid(getExtensionOfObject(classid, objid));
}

/* Members of extensions, and what an extension takes with it when it is dropped, by the index of what is depended on. */
static HTAB *
read_members(HTAB *notes)
{
	HASHCTL		control = {.keysize = sizeof(MemberKey), .entrysize = sizeof(MemberKey), .hcxt = CurrentMemoryContext};
	HTAB	   *members = hash_create("schemadrift extension members", 1024, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(ExtensionRelationId));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->deptype == DEPENDENCY_EXTENSION)
		{
			MemberKey	key = {depend->classid, depend->objid};

			(void) hash_search(members, &key, HASH_ENTER, NULL);
		}
		else if (depend->deptype == DEPENDENCY_AUTO_EXTENSION)
			sd_note_extension(notes, depend->classid, depend->objid, depend->refobjid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return members;
}

SdDescriber *
sd_describer_create(bool everything, List *local)
{
	SdDescriber *describer = palloc0(sizeof(SdDescriber));
	HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(NamespaceEntry), .hcxt = CurrentMemoryContext};

	describer->namespaces = hash_create("schemadrift namespaces", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	describer->local = local;
	if (everything)
	{
		describer->notes = sd_read_notes();
		describer->members = read_members(describer->notes);
		describer->arrays = sd_read_array_types();
	}
	return describer;
}

static const Catalog *
find_catalog(Oid classid)
{
	for (size_t i = 0; i < lengthof(catalogs); i++)
		if (catalogs[i].classid == classid)
			return &catalogs[i];
	return NULL;
}

static void
put_owner_and_privileges(const Catalog *catalog, HeapTuple tuple, SdDescription *description)
{
	ObjectType	type = catalog->acl_type;
	Oid			owner;
	Datum		value;
	bool		isnull;

	if (catalog->owner_column == 0)
		return;
	if (catalog->classid == RelationRelationId)
	{
		char		relkind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;

		if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
			return;				/* its table's */
		if (relkind == RELKIND_SEQUENCE)
			type = OBJECT_SEQUENCE;
	}
	owner = DatumGetObjectId(heap_getattr(tuple, catalog->owner_column, description->catalog, &isnull));
	sd_put_name(description, "owner", sd_append_role, owner);
	if (catalog->acl_column == 0)
		return;
	value = heap_getattr(tuple, catalog->acl_column, description->catalog, &isnull);
	if (!isnull)
		sd_put_privileges(description, "privileges", value, type, acldefault(type, owner));
}

bool
sd_describe_tuple(SdDescriber *describer, Relation relation, HeapTuple tuple, SdDescription *description)
{
	Oid			classid = RelationGetRelid(relation);
	const Catalog *catalog = find_catalog(classid);

	Assert(catalog != NULL);
	resetStringInfo(&description->identity);
	resetStringInfo(&description->definition);
	description->kind = NULL;
	description->catalog = RelationGetDescr(relation);
	description->classid = classid;
	description->objid = InvalidOid;
	description->names = 0;
	description->beside = NULL;
	description->beside_apart = false;
	if (!catalog->describe(describer, tuple, description))
		return false;
	Assert(description->kind != NULL && OidIsValid(description->objid));
	put_owner_and_privileges(catalog, tuple, description);
	sd_put_notes(describer, description, classid, description->objid);
	sd_add_name(description, description->identity.data, 0);
	return true;
}

bool
sd_describe_object(SdDescriber *describer, Oid classid, Oid objid, SdDescription *description)
{
	const Catalog *catalog = find_catalog(classid);
	Relation	relation;
	HeapTuple	tuple;
	bool		result;

	if (catalog == NULL)
		return false;
	relation = table_open(classid, AccessShareLock);
	tuple = get_catalog_object_by_oid(relation, catalog->oid_column, objid);
	result = HeapTupleIsValid(tuple) && sd_describe_tuple(describer, relation, tuple, description);
	table_close(relation, AccessShareLock);
	return result;
}

/* --- building blocks --- */

static void
begin_property(SdDescription *description, const char *property)
{
	appendStringInfoString(&description->definition, property);
	appendStringInfoString(&description->definition, ": ");
}

static void
append_escaped(StringInfo out, const char *value)
{
	for (const char *rest = value; *rest;)
	{
		size_t		plain = strcspn(rest, "\n\\");

		appendBinaryStringInfo(out, rest, plain);
		rest += plain;
		if (*rest)
		{
			appendStringInfoString(out, *rest == '\n' ? "\\n" : "\\\\");
			rest++;
		}
	}
}

void
sd_put(SdDescription *description, const char *property, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	begin_property(description, property);
	append_escaped(&description->definition, value);
	appendStringInfoChar(&description->definition, '\n');
}

/* In the current context, as what belongs to the description. */
void
sd_put_beside(SdDescription *description, const char *property, const char *value)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s%s: ", description->beside ? description->beside : "", property);
	append_escaped(&text, value);
	appendStringInfoChar(&text, '\n');
	description->beside = text.data;
}

void
sd_put_flag(SdDescription *description, const char *property, bool value)
{
	if (value)
		sd_put(description, property, "yes");
}

void
sd_put_int(SdDescription *description, const char *property, int64 value, int64 usual)
{
	if (value != usual)
		appendStringInfo(&description->definition, "%s: " INT64_FORMAT "\n", property, value);
}

void
sd_put_char(SdDescription *description, const char *property, char value, char usual)
{
	if (value != usual && value != '\0')
		appendStringInfo(&description->definition, "%s: %c\n", property, value);
}

void
sd_put_name(SdDescription *description, const char *property, SdAppendName append, Oid oid)
{
	if (!OidIsValid(oid))
		return;
	begin_property(description, property);
	append(&description->definition, oid);
	appendStringInfoChar(&description->definition, '\n');
}

void
sd_put_type(SdDescription *description, const char *property, Oid type, int32 typmod)
{
	if (!OidIsValid(type))
		return;
	begin_property(description, property);
	sd_append_type(&description->definition, type, typmod);
	appendStringInfoChar(&description->definition, '\n');
}

void
sd_put_expression(SdDescription *description, const char *property, Datum tree, bool isnull, Oid relation)
{
	StringInfoData canonical;
	char	   *stored;

	if (isnull)
		return;
	stored = TextDatumGetCString(tree);
	if (strcmp(stored, "<>") == 0)
		return;
	initStringInfo(&canonical);
	sd_append_canonical(&canonical, stored, relation);
	sd_put(description, property, canonical.data);
	pfree(canonical.data);
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The server's own note about a column, different in every region. */
static bool
is_attribute_version(const char *option)
{
	return strncmp(option, ATTRIBUTE_VERSION_ATTOPTION "=", sizeof(ATTRIBUTE_VERSION_ATTOPTION)) == 0;
}

/*
 * Would it look like two, among others, or its end like an escape?  Then commas and backslashes are escaped in it; all others, as
 * "search_path=a, b", stay readable.
 */
static void
append_option(StringInfo out, const char *option)
{
	const char *comma = strstr(option, ", ");
	size_t		length = strlen(option);
	bool		escape = (comma && strchr(comma, '=')) || (length > 0 && option[length - 1] == '\\');

	for (; *option; option++)
	{
		if (escape && (*option == ',' || *option == '\\'))
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *option);
	}
}

/* Sorted: the order in which options were set means nothing. */
char *
sd_join_options(Datum options, bool isnull)
{
	StringInfoData joined;
	Datum	   *elements;
	char	  **strings;
	int			n;
	int			nstrings = 0;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	strings = palloc(Max(n, 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		strings[nstrings] = TextDatumGetCString(elements[i]);
		if (!is_attribute_version(strings[nstrings]))
			nstrings++;
	}
	if (nstrings == 0)
		return NULL;
	qsort(strings, nstrings, sizeof(char *), compare_strings);
	initStringInfo(&joined);
	for (int i = 0; i < nstrings; i++)
	{
		appendStringInfoString(&joined, i > 0 ? ", " : "");
		append_option(&joined, strings[i]);
	}
	return joined.data;
}

void
sd_put_options(SdDescription *description, const char *property, Datum options, bool isnull)
{
	sd_put(description, property, sd_join_options(options, isnull));
}

char *
sd_join_columns(Oid relation, const int16 *numbers, int n)
{
	StringInfoData joined;

	initStringInfo(&joined);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoString(&joined, ", ");
		sd_append_column(&joined, relation, numbers[i]);
	}
	return joined.data;
}

void
sd_add_name(SdDescription *description, const char *name, int number)
{
	description->names = hash_combine64(description->names,
										hash_bytes_extended((const unsigned char *) name, strlen(name), number));
}

/* --- beginnings --- */

bool
sd_begin_in_schema(SdDescriber *describer, SdDescription *description, const char *kind,
				   Oid objid, Oid namespace, const char *name)
{
	if (!sd_name_is_covered(describer, namespace, name) ||
		sd_is_extension_member(describer, description->classid, objid))
		return false;
	description->kind = kind;
	description->objid = objid;
	sd_append_qualified(&description->identity, namespace, name);
	return true;
}

bool
sd_begin_without_schema(SdDescriber *describer, SdDescription *description, const char *kind, Oid objid)
{
	if (objid < FirstNormalObjectId || sd_is_extension_member(describer, description->classid, objid))
		return false;
	description->kind = kind;
	description->objid = objid;
	return true;
}

/* --- schemas and extensions --- */

static bool
describe_schema(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_namespace namespace = (Form_pg_namespace) GETSTRUCT(tuple);

	if (!sd_name_is_covered(describer, namespace->oid, "") ||
		sd_is_extension_member(describer, NamespaceRelationId, namespace->oid))
		return false;
	description->kind = "schema";
	description->objid = namespace->oid;
	sd_append_identifier(&description->identity, NameStr(namespace->nspname));
	return true;
}

static bool
describe_extension(SdDescriber *describer, HeapTuple tuple, SdDescription *description)
{
	Form_pg_extension extension = (Form_pg_extension) GETSTRUCT(tuple);
	Datum		version;
	bool		isnull;

	(void) describer;
	if (strcmp(NameStr(extension->extname), "schemadrift") == 0)
		return false;
	description->kind = "extension";
	description->objid = extension->oid;
	sd_append_identifier(&description->identity, NameStr(extension->extname));
	version = heap_getattr(tuple, Anum_pg_extension_extversion, description->catalog, &isnull);
	if (!isnull)
		sd_put(description, "version", TextDatumGetCString(version));
	sd_put_name(description, "schema", sd_append_namespace, extension->extnamespace);
	return true;
}

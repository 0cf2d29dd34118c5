/*
 * history_tables.c: the tables in which migration tools write down what they have done; see history_tables.h.
 *
 * A name alone says little ("migrations", "changes", "projects" may be anything), so a table counts only if it has the columns
 * of that tool, too.  Tables by which tools lock each other out (knex_migrations_lock, databasechangeloglock) are not among them:
 * a lock is each region's own.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "ddl/classify.h"
#include "ddl/history_tables.h"
#include "ddl/local.h"
#include "store/policy.h"
#include "texts.h"

/* The schema is each user's choice with most tools, so none is asked for. */
static const struct
{
	const char *tool;
	const char *table;
	const char *columns;		/* that it has at least, with commas between them */
}			known[] = {
	{"Rails, Ecto, golang-migrate, dbmate", "schema_migrations", "version"},
	{"Sequel", "schema_migrations", "filename"},
	{"Migratus", "schema_migrations", "id,applied"},
	{"Rails", "ar_internal_metadata", "key,value"},
	{"Sequel", "schema_info", "version"},
	{"Flyway", "flyway_schema_history", "installed_rank,version,script"},
	{"Flyway before 5", "schema_version", "installed_rank,version,script"},
	{"tern", "schema_version", "version"},
	{"Liquibase", "databasechangelog", "id,author,filename"},
	{"Alembic", "alembic_version", "version_num"},
	{"Django", "django_migrations", "app,name,applied"},
	{"Knex", "knex_migrations", "name,batch"},
	{"node-pg-migrate", "pgmigrations", "name,run_on"},
	{"goose", "goose_db_version", "version_id,is_applied"},
	{"Sqitch", "changes", "change_id,change,project,planner_email"},
	{"Sqitch", "dependencies", "change_id,type,dependency,dependency_id"},
	{"Sqitch", "events", "event,change_id,change,project,committer_email"},
	{"Sqitch", "projects", "project,uri,creator_email"},
	{"Sqitch", "releases", "version,installed_at,installer_email"},
	{"Sqitch", "tags", "tag_id,tag,change_id,planner_email"},
	{"Prisma", "_prisma_migrations", "migration_name,checksum"},
	{"Entity Framework", "__EFMigrationsHistory", "MigrationId,ProductVersion"},
	{"Entity Framework", "__ef_migrations_history", "migration_id,product_version"},
	{"TypeORM", "migrations", "timestamp,name"},
	{"TypeORM", "typeorm_metadata", "type,schema,table,name,value"},
	{"Laravel", "migrations", "migration,batch"},
	{"db-migrate", "migrations", "name,run_on"},
	{"postgres-migrations", "migrations", "id,name,hash"},
	{"Sequelize", "SequelizeMeta", "name"},
	{"MikroORM", "mikro_orm_migrations", "name,executed_at"},
	{"Drizzle", "__drizzle_migrations", "hash,created_at"},
	{"Kysely", "kysely_migration", "name,timestamp"},
	{"Diesel", "__diesel_schema_migrations", "version,run_on"},
	{"SQLx", "_sqlx_migrations", "version,checksum"},
	{"Refinery", "refinery_schema_history", "version,checksum"},
	{"SeaORM", "seaql_migrations", "version,applied_at"},
	{"Atlas", "atlas_schema_revisions", "version,description"},
	{"Bun", "bun_migrations", "name,group_id"},
	{"Phinx", "phinxlog", "version,migration_name"},
	{"Doctrine", "doctrine_migration_versions", "version,executed_at"},
	{"Yii", "migration", "version,apply_time"},
	{"yoyo", "_yoyo_migration", "migration_hash,migration_id"},
	{"yoyo", "_yoyo_log", "id,migration_hash,operation"},
	{"yoyo", "_yoyo_version", "version,installed_at_utc"},
	{"Peewee", "migratehistory", "name,migrated_at"},
	{"Aerich", "aerich", "version,app,content"},
	{"DbUp", "schemaversions", "scriptname,applied"},
	{"FluentMigrator", "VersionInfo", "Version,AppliedOn"},
	{"MyBatis Migrations", "changelog", "id,applied_at,description"},
	{"Ragtime", "ragtime_migrations", "id,created_at"},
};

/* given: of one that is not there yet (InvalidOid) */
static bool
has_columns(Oid relation, List *given, const char *columns)
{
	char		name[NAMEDATALEN];

	while (*columns)
	{
		size_t		length = strcspn(columns, ",");

		strlcpy(name, columns, Min(length + 1, sizeof(name)));
		if (OidIsValid(relation) ? get_attnum(relation, name) <= 0 : !sd_texts_have(given, name))
			return false;
		columns += length;
		columns += *columns == ',';
	}
	return true;
}

static bool
is_known(Oid relation, List *given, const char *name)
{
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].table, name) == 0 && has_columns(relation, given, known[i].columns))
			return true;
	return false;
}

/* What a pattern takes away no other gives back, whatever their order. */
static bool
is_taken_away(List *patterns, const char *schema, const char *name)
{
	ListCell   *cell;

	foreach(cell, patterns)
	{
		const char *pattern = lfirst(cell);

		if (pattern[0] == '-' && sd_local_matches(list_make1((void *) (pattern + 1)), schema, name))
			return true;
	}
	return false;
}

/* a pattern that begins with "-" matches no name, unless somebody's schema does, too */
static bool
is_one(Oid relation, List *given, const char *schema, const char *name, List *patterns)
{
	return !sd_is_own_schema(schema) && (is_known(relation, given, name) || sd_local_matches(patterns, schema, name)) &&
		!is_taken_away(patterns, schema, name);
}

bool
sd_history_will_be(const char *schema, const char *name, List *columns, List *patterns)
{
	return is_one(InvalidOid, columns, schema, name, patterns);
}

bool
sd_history_is(Oid relation, List *patterns)
{
	HeapTuple	tuple = relation >= FirstNormalObjectId ? SearchSysCache1(RELOID, ObjectIdGetDatum(relation)) : NULL;
	Form_pg_class class;
	char	   *schema;
	char	   *name;
	bool		may_be;
	Oid			namespace;

	if (!HeapTupleIsValid(tuple))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	may_be = (class->relkind == RELKIND_RELATION || class->relkind == RELKIND_PARTITIONED_TABLE) &&
		class->relpersistence != RELPERSISTENCE_TEMP;
	name = pstrdup(NameStr(class->relname));
	namespace = class->relnamespace;
	ReleaseSysCache(tuple);
	schema = may_be ? get_namespace_name(namespace) : NULL;
	return schema && is_one(relation, NIL, schema, name, patterns);
}

Oid
sd_history_root(Oid relation)
{
	List	   *ancestors = get_rel_relispartition(relation) ? get_partition_ancestors(relation) : NIL;

	return ancestors == NIL ? relation : llast_oid(ancestors);
}

/* By what the row says alone: most tables are none. */
static bool
may_be_one(Form_pg_class class, List *patterns)
{
	if (patterns != NIL || class->relispartition)
		return true;
	for (size_t i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].table, NameStr(class->relname)) == 0)
			return true;
	return false;
}

List *
sd_history_all(List *patterns)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *all = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);

		if (class->relkind == RELKIND_RELATION && may_be_one(class, patterns) && sd_history_is(sd_history_root(class->oid), patterns))
			all = lappend_oid(all, class->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return all;
}

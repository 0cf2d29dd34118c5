/*
 * compat.h: the only file, beside compat_syntax.h, that knows PostgreSQL's major versions.
 *
 * Supported: 15, 16, 17, 18.  Everything that differs between them is given one name here.
 */
#ifndef SD_COMPAT_H
#define SD_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "schemadrift needs PostgreSQL 15 or later"
#endif

/* of the server that this is compiled for */
#define SD_COMPAT_MAJOR		(PG_VERSION_NUM / 10000)
#define SD_COMPAT_OLDEST	15

/* 16 took the macros of variable-length values out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"

/* A half-dropped database; minor releases of 15 and 16 before 2023-08 have no name for it. */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB		(-2)
#endif

static inline bool
sd_compat_owns_relation(Oid relation, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(RelationRelationId, relation, role);
#else
	return pg_class_ownercheck(relation, role);
#endif
}

/* 16 can report a bad name without an error */
#if PG_VERSION_NUM >= 160000
#define sd_compat_name_list(name) stringToQualifiedNameList((name), NULL)
#else
#define sd_compat_name_list(name) stringToQualifiedNameList(name)
#endif

/* 18 dropped PortalRun's "run once" */
#if PG_VERSION_NUM >= 180000
#define sd_compat_portal_run(portal, dest, completion) PortalRun((portal), FETCH_ALL, true, (dest), (dest), (completion))
#else
#define sd_compat_portal_run(portal, dest, completion) PortalRun((portal), FETCH_ALL, true, true, (dest), (dest), (completion))
#endif

/* Custom wait events have names since 17. */
#if PG_VERSION_NUM >= 170000
#define sd_compat_wait_event(name) WaitEventExtensionNew(name)
#else
#define sd_compat_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* Entry i, from 1, of this process's snapshot of pg_stat_activity. */
static inline PgBackendStatus *
sd_compat_backend_status(int i)
{
#if PG_VERSION_NUM >= 160000
	LocalPgBackendStatus *entry = pgstat_get_local_beentry_by_index(i);
#else
	LocalPgBackendStatus *entry = pgstat_fetch_stat_local_beentry(i);
#endif

	return entry ? &entry->backendStatus : NULL;
}

static inline bool
sd_compat_owns_database(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

static inline bool
sd_compat_may_make_temporary(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, database, role, ACL_CREATE_TEMP) == ACLCHECK_OK;
#else
	return pg_database_aclcheck(database, role, ACL_CREATE_TEMP) == ACLCHECK_OK;
#endif
}

static inline bool
sd_compat_may_create_schema(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, database, role, ACL_CREATE) == ACLCHECK_OK;
#else
	return pg_database_aclcheck(database, role, ACL_CREATE) == ACLCHECK_OK;
#endif
}

static inline bool
sd_compat_may_create_in(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, ACL_CREATE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_CREATE) == ACLCHECK_OK;
#endif
}

static inline bool
sd_compat_owns_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, schema, role);
#else
	return pg_namespace_ownercheck(schema, role);
#endif
}

static inline bool
sd_compat_may_use_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* 17: it can look for stronger ones, too */
#if PG_VERSION_NUM >= 170000
#define sd_compat_lock_held(tag, mode)	LockHeldByMe((tag), (mode), false)
#else
#define sd_compat_lock_held(tag, mode)	LockHeldByMe((tag), (mode))
#endif

/* 17: the set belongs to a resource owner, not a memory context.  Ours lives as long as its process wants. */
#if PG_VERSION_NUM >= 170000
#define sd_compat_wait_event_set(n_events)	CreateWaitEventSet(NULL, (n_events))
#else
#define sd_compat_wait_event_set(n_events)	CreateWaitEventSet(TopMemoryContext, (n_events))
#endif

/* 18 has pg_noreturn instead, which goes in front of a declaration; gcc and clang take this one at either end */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* 18 dropped ExecutorRun's "execute once" */
#if PG_VERSION_NUM >= 180000
#define sd_executor_run(query, direction, count) ExecutorRun(query, direction, count)
#define SD_COMPAT_RUN_PARAMETERS	uint64 count
#define SD_COMPAT_RUN_ARGUMENTS		count
#else
#define sd_executor_run(query, direction, count) ExecutorRun(query, direction, count, true)
#define SD_COMPAT_RUN_PARAMETERS	uint64 count, bool once
#define SD_COMPAT_RUN_ARGUMENTS		count, once
#endif

/* May the current user run this plan?  An error if not.  16 keeps rights apart from the range table. */
#if PG_VERSION_NUM >= 160000
#define sd_compat_check_rights(planned) ((void) ExecCheckPermissions((planned)->rtable, (planned)->permInfos, true))
#else
#define sd_compat_check_rights(planned) ((void) ExecCheckRTPerms((planned)->rtable, true))
#endif

/* pg_attribute.attstattarget became nullable and narrower in 17, and is no more among the first columns, which are read like a struct */
#if PG_VERSION_NUM < 170000
#define sd_statistics_target(datum) ((int) DatumGetInt32(datum))
#define sd_column_statistics(tuple, descriptor, isnull) \
	(*(isnull) = false, Int32GetDatum(((Form_pg_attribute) GETSTRUCT(tuple))->attstattarget))
#else
#define sd_statistics_target(datum) ((int) DatumGetInt16(datum))
#define sd_column_statistics(tuple, descriptor, isnull) \
	heap_getattr(tuple, Anum_pg_attribute_attstattarget, descriptor, isnull)
#endif

/* 17 has a privilege for maintenance */
#ifdef ACL_MAINTAIN
#define SD_COMPAT_ACL_MAINTAIN	ACL_MAINTAIN
#else
#define SD_COMPAT_ACL_MAINTAIN	ACL_NO_RIGHTS
#endif

/* 18 has default privileges for large objects; never the kind of one before */
#if PG_VERSION_NUM >= 180000
#define SD_COMPAT_DEFACLOBJ_LARGEOBJECT	DEFACLOBJ_LARGEOBJECT
#else
#define SD_COMPAT_DEFACLOBJ_LARGEOBJECT	'\0'
#endif

/* A collation's locale where it is one for LC_COLLATE and LC_CTYPE has another name since 17, and rules of ICU since 16. */
#if PG_VERSION_NUM >= 170000
#define SD_COMPAT_COLLATION_LOCALE	Anum_pg_collation_colllocale
#else
#define SD_COMPAT_COLLATION_LOCALE	Anum_pg_collation_colliculocale
#endif
#if PG_VERSION_NUM >= 160000
#define SD_COMPAT_COLLATION_RULES	Anum_pg_collation_collicurules
#else
#define SD_COMPAT_COLLATION_RULES	InvalidAttrNumber
#endif

/*
 * Minor releases since November 2026 keep a WAL position for each column in pg_attribute.attoptions, under a reserved key that
 * pg_dump leaves out.  It may be there whatever minor this was compiled with.
 */
#include "catalog/pg_attribute.h"
#ifndef ATTRIBUTE_VERSION_ATTOPTION
#define ATTRIBUTE_VERSION_ATTOPTION "pg_attver"
#endif

/*
 * Until 15 a view's query begins with two tables that nothing reads, called old and new: the view itself.
 */
#if PG_VERSION_NUM < 160000
#define SD_VIEW_PLACEHOLDERS 2
#else
#define SD_VIEW_PLACEHOLDERS 0
#endif

/* 18 puts the expressions of GROUP BY into a table of their own, after all others.  Never the kind of one before. */
#if PG_VERSION_NUM >= 180000
#define SD_COMPAT_RTE_GROUP RTE_GROUP
#else
#define SD_COMPAT_RTE_GROUP (-1)
#endif

/* 18 has constraints that are not enforced, and keys over periods of time */
#if PG_VERSION_NUM >= 180000
#define sd_compat_is_enforced(constraint) ((constraint)->conenforced)
#define sd_compat_is_period(constraint) ((constraint)->conperiod)
#else
#define sd_compat_is_enforced(constraint) ((void) (constraint), true)
#define sd_compat_is_period(constraint) ((void) (constraint), false)
#endif

/* 17 keeps a domain's NOT NULL among the constraints, 18 a table's too */
#define SD_COMPAT_CONSTRAINT_NOTNULL 'n'

/* 17: a worker may be connected as a role that cannot log in. */
#ifdef BGWORKER_BYPASS_ROLELOGINCHECK
#define SD_COMPAT_ANY_ROLE_FLAG		BGWORKER_BYPASS_ROLELOGINCHECK
#define SD_COMPAT_ANY_ROLE			true
#else
#define SD_COMPAT_ANY_ROLE_FLAG		0
#define SD_COMPAT_ANY_ROLE			false
#endif

static inline bool
sd_compat_may_connect(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT) == ACLCHECK_OK;
#else
	return pg_database_aclcheck(database, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

/* May this role SET ROLE to that one?  16 made it a right of its own. */
static inline bool
sd_compat_may_set_role(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return member_can_set_role(member, role);
#else
	return is_member_of_role(member, role);
#endif
}

/* Number of this backend's transaction; another one says that what was noted in the last is over. */
#if PG_VERSION_NUM >= 170000
#define sd_compat_lxid()	(MyProc->vxid.lxid)
#else
#define sd_compat_lxid()	(MyProc->lxid)
#endif

/* Was the table's file replaced in this transaction (a rewrite, TRUNCATE), and the table not made by it? */
#if PG_VERSION_NUM >= 160000
#define sd_compat_was_rewritten(rel) \
	((rel)->rd_createSubid == InvalidSubTransactionId && (rel)->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define sd_compat_was_rewritten(rel) \
	((rel)->rd_createSubid == InvalidSubTransactionId && (rel)->rd_firstRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* 16 has soft errors: an input function tells what is wrong to whoever asks for that, and returns.  Before, it raises it. */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define ereturn(context, dummy_value, ...) \
	do { (void) (context); ereport(ERROR, __VA_ARGS__); return (dummy_value); } while (0)
#endif

/* 18 has virtual generated columns, and its constraints say which kind; 17 has SET EXPRESSION */
#include "nodes/parsenodes.h"
#if PG_VERSION_NUM >= 180000
#define sd_compat_generated_kind(constraint) ((constraint)->generated_kind)
#else
#define sd_compat_generated_kind(constraint) ((void) (constraint), ATTRIBUTE_GENERATED_STORED)
#endif
#if PG_VERSION_NUM >= 170000
#define SD_COMPAT_AT_SET_EXPRESSION(subtype) ((subtype) == AT_SetExpression)
#else
#define SD_COMPAT_AT_SET_EXPRESSION(subtype) ((void) (subtype), false)
#endif

/* columns by their names; an error where one is missing */
#if PG_VERSION_NUM >= 160000
#define sd_compat_columns_by_name(in, out) build_attrmap_by_name(in, out, false)
#else
#define sd_compat_columns_by_name(in, out) build_attrmap_by_name(in, out)
#endif

/* 18: NOT ENFORCED, also of a constraint that is there; NOT NULL as a constraint of a table, INHERIT or not; WITHOUT OVERLAPS */
#if PG_VERSION_NUM >= 180000
#define sd_compat_asks_enforced(constraint) ((constraint)->is_enforced)
#define sd_compat_without_overlaps(constraint) ((constraint)->without_overlaps)
#define sd_compat_alters_enforced(command) (((ATAlterConstraint *) (command)->def)->alterEnforceability)
#define sd_compat_altered_enforced(command) (((ATAlterConstraint *) (command)->def)->is_enforced)
#define sd_compat_altered_name(command) (((ATAlterConstraint *) (command)->def)->conname)
#define sd_compat_makes_inherited(command) \
	(((ATAlterConstraint *) (command)->def)->alterInheritability && !((ATAlterConstraint *) (command)->def)->noinherit)
#else
#define sd_compat_asks_enforced(constraint) ((void) (constraint), true)
#define sd_compat_without_overlaps(constraint) ((void) (constraint), false)
#define sd_compat_alters_enforced(command) ((void) (command), false)
#define sd_compat_altered_enforced(command) ((void) (command), true)
#define sd_compat_altered_name(command) (((Constraint *) (command)->def)->conname)
#define sd_compat_makes_inherited(command) ((void) (command), false)
#endif

#endif							/* SD_COMPAT_H */

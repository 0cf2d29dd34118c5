/*
 * cppcheck.h: the macros of PostgreSQL that cppcheck must know to follow our code; read before each file (t/static).
 *
 * The server's own headers would cost it hours.  Types it does not need to know; what these stand for is not exact, but
 * flows the same way.
 */
#define PG_VERSION_NUM 150000
#define ERROR 21
#define FATAL 22
#define PANIC 23
#define NIL ((List *) NULL)
#define InvalidOid 0
#define OidIsValid(o) ((o) != 0)
#define Min(x, y) ((x) < (y) ? (x) : (y))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define StringIsEmpty(s) ((s)[0] == 0)
#define Assert(condition) ((void) 0)
#define AssertMacro(condition) ((void) 0)
#define StaticAssertDecl(condition, message) extern int sd_cppcheck_unused
#define StaticAssertStmt(condition, message) ((void) 0)
#define ereport(level, ...) do { (void) (__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { sd_cppcheck_said(__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define PG_RE_THROW() abort()
#define PG_TRY() do { if (sd_cppcheck_any()) {
#define PG_CATCH() } else {
#define PG_FINALLY() } {
#define PG_END_TRY() } } while (0)
#define PG_ENSURE_ERROR_CLEANUP(function, argument) do {
#define PG_END_ENSURE_ERROR_CLEANUP(function, argument) } while (0)
#define foreach(cell, list) for (cell = list_head(list); cell != NULL; cell = lnext(list, cell))
#define forboth(a, la, b, lb) for (a = list_head(la), b = list_head(lb); a != NULL && b != NULL; a = lnext(la, a), b = lnext(lb, b))
#define for_each_from(cell, list, n) for (cell = list_nth_cell(list, n); cell != NULL; cell = lnext(list, cell))
#define foreach_delete_current(list, cell) list_delete_cell(list, cell)
#define dlist_foreach(iter, head) for (iter.cur = dlist_head(head); iter.cur != NULL; iter.cur = dlist_next(head, iter.cur))
#define dlist_foreach_modify(iter, head) for (iter.cur = dlist_head(head); iter.cur != NULL; iter.cur = dlist_next(head, iter.cur))
#define slist_foreach(iter, head) for (iter.cur = slist_first(head); iter.cur != NULL; iter.cur = slist_next(iter.cur))
#define PG_MODULE_MAGIC extern int sd_cppcheck_unused
#define PG_FUNCTION_INFO_V1(name) Datum name(FunctionCallInfo fcinfo)
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_RETURN_VOID() return 0
#define PG_RETURN_NULL() do { fcinfo->isnull = true; return 0; } while (0)
#define PG_RETURN_BOOL(x) return BoolGetDatum(x)
#define PG_RETURN_INT32(x) return Int32GetDatum(x)
#define PG_RETURN_INT64(x) return Int64GetDatum(x)
#define PG_RETURN_DATUM(x) return (x)
#define PG_RETURN_TEXT_P(x) return PointerGetDatum(x)
#define PG_RETURN_BYTEA_P(x) return PointerGetDatum(x)
#define PG_RETURN_POINTER(x) return PointerGetDatum(x)
#define pg_attribute_printf(format, arguments)
#define pg_attribute_noreturn() __attribute__((noreturn))
#define pg_attribute_unused()
#define PG_USED_FOR_ASSERTS_ONLY
#define PGDLLEXPORT
#define PGDLLIMPORT
#define pg_noinline
#define pg_noreturn
#define FLEXIBLE_ARRAY_MEMBER

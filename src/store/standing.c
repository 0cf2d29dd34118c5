/*
 * standing.c: how this region's schema came to be, as its tables have it; see standing.h.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/drift.h"
#include "store/standing.h"

List *
sd_standing_origins(int64 after, int64 upto)
{
	static SdStatement statement = {
		.sql = "SELECT origin, incarnation, count(*) FROM schemadrift_store.log WHERE version > $1 AND version <= $2 GROUP BY 1, 2",
		.nargs = 2, .types = {INT8OID, INT8OID}
	};
	uint64		n = sd_store_run(&statement, (Datum[]) {Int64GetDatum(after), Int64GetDatum(upto)}, NULL, SD_ANY_ROWS);
	List	   *counts = NIL;

	for (uint64 i = 0; i < n; i++)
	{
		SdOriginCount *count = palloc0(sizeof(SdOriginCount));

		strlcpy(count->region, sd_store_text(i, 1), SD_NAME_SIZE);
		count->incarnation = sd_store_int32(i, 2);
		count->n = sd_store_int64(i, 3);
		counts = lappend(counts, count);
	}
	return counts;
}

int64
sd_standing_skipped(int64 after, int64 upto)
{
	static SdStatement statement = {
		.sql = "SELECT count(*) FROM schemadrift_store.execution WHERE version > $1 AND version <= $2 AND state = 'skipped'",
		.nargs = 2, .types = {INT8OID, INT8OID}
	};

	sd_store_run(&statement, (Datum[]) {Int64GetDatum(after), Int64GetDatum(upto)}, NULL, 1);
	return sd_store_int64(0, 1);
}

int64
sd_standing_outside(const SdSelf *self, int64 applied)
{
	static SdStatement statement = {
		.sql = "SELECT CASE WHEN EXISTS (SELECT FROM schemadrift_store.log WHERE version > $1 AND origin = $2 AND incarnation = $3) "
		"THEN 0 ELSE (SELECT count(*) FROM schemadrift_store.bypass WHERE settled IS NULL) END",
		.nargs = 3, .types = {INT8OID, TEXTOID, INT4OID}
	};

	if (!sd_drift_kept())
		return 0;
	sd_store_run(&statement, (Datum[]) {Int64GetDatum(applied), CStringGetTextDatum(self->region), Int32GetDatum(self->incarnation)},
				 NULL, 1);
	return sd_store_int64(0, 1);
}

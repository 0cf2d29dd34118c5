/*
 * verify_region.c: another region's whole schema against its digests, now, by that region itself; see verify.h.
 *
 * Runs in a backend, as a client of that region.  What it finds it keeps, and tells everybody with its next heartbeat.
 */
#include "compat.h"

#include "functions/regions.h"
#include "functions/verify.h"
#include "peer/calls.h"
#include "store/protocol.h"

List *
sd_verify_region(const char *region)
{
	SdRegions	regions;
	SdClient   *client;
	const PGresult *result;
	const char *values[7];
	int64		tag;
	List	   *rows;

	sd_regions_read(&regions);
	client = sd_region_connect(&regions, region);
	if (client == NULL)
		return sd_verify_now();
	values[0] = psprintf("%d", sd_protocol_own());
	values[1] = sd_uuid_text(&regions.self.group_id);
	values[2] = psprintf("%d", regions.self.generation);
	values[3] = region;
	values[4] = regions.self.region;
	values[5] = psprintf("%d", regions.self.incarnation);
	values[6] = "0";
	result = sd_client_query(client, "SELECT * FROM schemadrift_rpc.verify($1,$2,$3,$4,$5,$6,$7)", 7, NULL, values, true);
	if (!sd_call_decode_drift(result, &tag, &rows))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("region \"%s\" answered with nonsense", region)));
	sd_client_close(client);
	return rows;
}

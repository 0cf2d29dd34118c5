/*
 * standing.c: what this region's schema contains and how it stands to the log, for exchanges and views (shared.h, SdStanding).
 *
 * Process: the coordinator.  Read in a transaction that sees one snapshot, when something has been written since the last
 * time.  What of the log is counted once is not counted again: its rows never change.
 */
#include "compat.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "causality/vector.h"
#include "ddl/digest.h"
#include "ddl/drift.h"
#include "store/standing.h"
#include "worker/coordinator.h"

/* The log's part of the vector. */
struct SdCounted
{
	MemoryContext context;		/* of what the list holds */
	List	   *origins;		/* of SdOriginCount */
	pg_uuid_t	group_id;
	int64		version;		/* of the versions up to this one */
	int64		skipped;
};

static void
forget(SdCounted *counted)
{
	MemoryContextReset(counted->context);
	counted->origins = NIL;
	counted->version = counted->skipped = 0;
}

SdCounted *
sd_standing_create(MemoryContext parent)
{
	SdCounted  *counted = MemoryContextAllocZero(parent, sizeof(SdCounted));

	counted->context = AllocSetContextCreate(parent, "schemadrift origins", ALLOCSET_SMALL_SIZES);
	return counted;
}

static void
add_origin(SdCounted *counted, const SdOriginCount *more)
{
	MemoryContext old;
	SdOriginCount *count;
	ListCell   *lc;

	foreach(lc, counted->origins)
	{
		count = lfirst(lc);
		if (count->incarnation == more->incarnation && strcmp(count->region, more->region) == 0)
		{
			count->n += more->n;
			return;
		}
	}
	old = MemoryContextSwitchTo(counted->context);
	count = palloc(sizeof(SdOriginCount));
	*count = *more;
	counted->origins = lappend(counted->origins, count);
	MemoryContextSwitchTo(old);
}

static void
count_log(SdCounted *counted, const SdSelf *self, int64 applied)
{
	ListCell   *lc;

	/* another group, or its log was copied anew */
	if (memcmp(&counted->group_id, &self->group_id, UUID_LEN) != 0 || applied < counted->version)
		forget(counted);
	counted->group_id = self->group_id;
	if (applied == counted->version)
		return;
	foreach(lc, sd_standing_origins(counted->version, applied))
		add_origin(counted, lfirst(lc));
	counted->skipped += sd_standing_skipped(counted->version, applied);
	counted->version = applied;
}

/* Left empty if it is longer than what is told. */
static void
write_vector(const SdCounted *counted, const SdSelf *self, SdStanding *standing)
{
	size_t		room = (list_length(counted->origins) + 1) * SD_VECTOR_ENTRY_SIZE;
	SdVectorBuilder builder;
	SdVectorEntry entry;
	bool		own = false;
	ListCell   *lc;

	sd_vector_begin(&builder, palloc(room), room);
	foreach(lc, counted->origins)
	{
		const SdOriginCount *count = lfirst(lc);
		bool		is_own = count->incarnation == self->incarnation && strcmp(count->region, self->region) == 0;

		own |= is_own;
		entry = (SdVectorEntry) {count->region, strlen(count->region), count->incarnation,
			count->n + (is_own ? standing->outside : 0)};
		if (sd_vector_add(&builder, &entry) != SD_VECTOR_OK)
			return;
	}
	entry = (SdVectorEntry) {self->region, strlen(self->region), self->incarnation, standing->outside};
	if (!own && sd_vector_add(&builder, &entry) != SD_VECTOR_OK)
		return;
	if (sd_vector_format(sd_vector_end(&builder), standing->vector, SD_VECTOR_TEXT_SIZE) >= SD_VECTOR_TEXT_SIZE)
		memset(standing->vector, 0, SD_VECTOR_TEXT_SIZE);
}

static void
read_standing(SdCoordinator *c, void *arg)
{
	SdStanding *standing = arg;
	SdSelf		self;
	SdApplied	applied;
	SdDigest	root;
	int64		drifted;

	memset(standing, 0, sizeof(*standing));
	if (!sd_self_read(&self) || strcmp(self.state, sd_role_text(SD_ROLE_WITNESS)) == 0)
		return;
	sd_applied_read(&applied);
	count_log(c->counted, &self, applied.version);
	standing->version = applied.version;
	standing->form = SD_DIGEST_FORM;
	standing->drift_tag = sd_drift_tag(&drifted);
	standing->drifted = (int32) Min(drifted, PG_INT32_MAX);
	standing->outside = sd_standing_outside(&self, applied.version);
	standing->skipped = c->counted->skipped;
	memcpy(root.byte, applied.digest, SD_SHA_SIZE);
	root = sd_drift_logged_root_of(&root);
	memcpy(standing->logged, root.byte, SD_SHA_SIZE);
	write_vector(c->counted, &self, standing);
}

void
sd_standing_look(SdCoordinator *c, uint64 changes)
{
	SdStanding	standing;
	int			isolation = DefaultXactIsoLevel;
	bool		done;

	if (changes != 0 && changes == c->standing_changes)
		return;
	/* several statements, one snapshot: what they say together is told together */
	DefaultXactIsoLevel = XACT_REPEATABLE_READ;
	done = sd_coordinator_transaction(c, read_standing, &standing, false);
	DefaultXactIsoLevel = isolation;
	c->standing_changes = done ? changes : 0;
	if (!done)
		forget(c->counted);
	else
	{
		LWLockAcquire(&c->db->lock, LW_EXCLUSIVE);
		c->db->standing = standing;
		LWLockRelease(&c->db->lock);
	}
}

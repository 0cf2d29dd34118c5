/*
 * driver.c: libFuzzer inside a server, for the targets of src/functions/parse_testing.c.
 *
 * Only in the library that "make fuzz" builds (SD_FUZZ=1).  Process: a stand-alone backend (postgres --single), which
 * has everything a backend has and nobody beside it.  What is fuzzed is the code that runs, with the memory, the
 * encodings, the JSON and the errors of the server, not with substitutes; libFuzzer is told what our code covers.
 *
 * Each input runs in a subtransaction that is rolled back.  On 15 its memory comes from malloc, piece by piece, so that
 * AddressSanitizer knows where each ends; newer majors have no place for a kind of memory context that is not theirs,
 * and memory is watched by blocks there.
 */
#include "compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "functions/parse_testing.h"

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback) (const uint8_t *data, size_t size));

PG_FUNCTION_INFO_V1(sd_testing_fuzz);

static const char *target;

#if PG_VERSION_NUM < 160000

/* ---- a context whose pieces are malloc's ---- */

typedef struct Piece
{
	dlist_node	node;
	size_t		size;
	MemoryContext context;		/* the last thing before the memory: pfree() looks for it there */
} Piece;

typedef struct PieceContext
{
	MemoryContextData header;
	dlist_head	pieces;
} PieceContext;

static void *
piece_alloc(MemoryContext context, Size size)
{
	Piece	   *piece = malloc(sizeof(Piece) + size);

	if (piece == NULL)
		return NULL;
	piece->size = size;
	piece->context = context;
	dlist_push_tail(&((PieceContext *) context)->pieces, &piece->node);
	context->mem_allocated += size;
	return piece + 1;
}

static void
piece_free(MemoryContext context, void *pointer)
{
	Piece	   *piece = (Piece *) pointer - 1;

	context->mem_allocated -= piece->size;
	dlist_delete(&piece->node);
	free(piece);
}

static void *
piece_realloc(MemoryContext context, void *pointer, Size size)
{
	Piece	   *piece = (Piece *) pointer - 1;
	void	   *larger = piece_alloc(context, size);

	if (larger == NULL)
		return NULL;
	memcpy(larger, pointer, Min(size, piece->size));
	piece_free(context, pointer);
	return larger;
}

static void
piece_reset(MemoryContext context)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &((PieceContext *) context)->pieces)
		piece_free(context, dlist_container(Piece, node, iter.cur) + 1);
}

static void
piece_delete(MemoryContext context)
{
	piece_reset(context);
	free(context);
}

static Size
piece_space(MemoryContext context, void *pointer)
{
	(void) context;
	return sizeof(Piece) + ((Piece *) pointer - 1)->size;
}

static bool
piece_is_empty(MemoryContext context)
{
	return dlist_is_empty(&((PieceContext *) context)->pieces);
}

static void
piece_stats(MemoryContext context, MemoryStatsPrintFunc printfunc, void *passthru, MemoryContextCounters *totals,
			bool print_to_stderr)
{
	(void) context, (void) printfunc, (void) passthru, (void) totals, (void) print_to_stderr;
}

static const MemoryContextMethods piece_methods = {
	.alloc = piece_alloc, .free_p = piece_free, .realloc = piece_realloc, .reset = piece_reset,
	.delete_context = piece_delete, .get_chunk_space = piece_space, .is_empty = piece_is_empty, .stats = piece_stats
};

static MemoryContext
context_create(void)
{
	PieceContext *context = calloc(1, sizeof(PieceContext));

	if (context == NULL)
		elog(ERROR, "out of memory");
	dlist_init(&context->pieces);
	MemoryContextCreate(&context->header, T_AllocSetContext, &piece_methods, CurrentMemoryContext, "schemadrift fuzzing");
	return &context->header;
}
#else
static MemoryContext
context_create(void)
{
	/* small blocks: what takes more than a few bytes has one of its own */
	return AllocSetContextCreate(CurrentMemoryContext, "schemadrift fuzzing", 0, 1024, 1024);
}
#endif

/* ---- one input ---- */

static int
run_input(const uint8_t *data, size_t size)
{
	MemoryContext outer = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext inner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(outer);
	inner = context_create();
	MemoryContextSwitchTo(inner);
	PG_TRY();
	{
		sd_testing_parse_bytes(target, (const char *) data, size);
		MemoryContextSwitchTo(outer);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(outer);
		error = CopyErrorData();
		FlushErrorState();
		if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		{
			fprintf(stderr, "internal error: %s\n", error->message);
			abort();
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(outer);
	CurrentResourceOwner = owner;
	MemoryContextDelete(inner);
	return 0;
}

/* (target text, arguments text) returns integer; libFuzzer ends the process when it is done */
Datum
sd_testing_fuzz(PG_FUNCTION_ARGS)
{
	char	   *words = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *argv[32] = {"fuzz"};
	char	  **arguments = argv;
	int			argc = 1;

	target = text_to_cstring(PG_GETARG_TEXT_PP(0));
	for (char *word = strtok(words, " "); word && argc < (int) lengthof(argv) - 1; word = strtok(NULL, " "))
		argv[argc++] = word;
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &arguments, run_input));
}

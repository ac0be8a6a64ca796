package duck

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static void give_back(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

// giveBack returns to the system what C has freed. The C library keeps it
// otherwise, some 20 MB after a few files of a few megabytes, in pieces that
// later work hardly uses again: each thread has a heap of its own, and DuckDB's
// threads end with its database.
func giveBack() { C.give_back() }

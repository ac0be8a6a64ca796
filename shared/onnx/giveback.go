package onnx

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
// otherwise, in pieces that no later model may fit into.
func giveBack() { C.give_back() }

package main

// This is built into the command for a test: it lets the time of day be set
// back under everything in the process, the NATS server included, as if the
// machine's had been. Timers go on, as they would.

/*
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead; // seconds

static int get(clockid_t id, struct timespec *t) {
	int r = syscall(SYS_clock_gettime, id, t);
	if (r == 0 && id == CLOCK_REALTIME) {
		t->tv_sec += *ahead;
	}
	return r;
}

static void *clock_with(const char *path) {
	int fd = open(path, O_RDONLY);
	void *p = fd < 0 ? MAP_FAILED : mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		abort();
	}
	ahead = p;
	return get;
}
*/
import "C"

import (
	"os"
	_ "unsafe" // for linkname
)

// gettime is what Go's runtime asks for the time; as a rule the kernel's.
//
//go:linkname gettime runtime.vdsoClockgettimeSym
var gettime uintptr

func init() {
	if path := os.Getenv("MILLRACE_TEST_CLOCK"); path != "" {
		gettime = uintptr(C.clock_with(C.CString(path)))
	}
}

// What Debian 12's libstdc++.a takes from glibc that glibc 2.28 does not have.
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// glibc 2.32: whether the process has one thread only. No is always safe: counters are then atomic.
char __libc_single_threaded = 0;

// glibc 2.36: random numbers, for std::random_device.
uint32_t arc4random(void) {
	uint32_t n;
	if (getrandom(&n, sizeof n, 0) != sizeof n) abort();
	return n;
}

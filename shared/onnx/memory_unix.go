//go:build unix

package onnx

import (
	"fmt"
	"os"
	"syscall"
)

// limitMemory lets the address space of this process grow by so many bytes and no more.
func limitMemory(growth uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("read the limit of memory: %w", err)
	}
	limit.Cur = min(limit.Max, addressSpace()+growth)
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return fmt.Errorf("limit memory to %d bytes: %w", limit.Cur, err)
	}
	return nil
}

// addressSpace returns what this process has reserved, 0 where the system does not tell it in a file.
func addressSpace() uint64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var pages uint64
	if _, err := fmt.Sscan(string(data), &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

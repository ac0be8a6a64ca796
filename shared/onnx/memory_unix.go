//go:build unix

package onnx

import "syscall"

// limitMemory limits the address space of this process.
func limitMemory(bytes uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		return err
	}
	limit.Cur = min(limit.Max, bytes)
	return syscall.Setrlimit(syscall.RLIMIT_AS, &limit)
}

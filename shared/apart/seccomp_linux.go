package apart

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are the calls that nothing which reads bytes and computes has a use
// for: the network, other processes, and doors into the kernel.
var refused = []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_IO_URING_SETUP,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_KILL, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
}

// Offsets in struct seccomp_data, and the numbers that x32 adds on amd64.
const (
	offsetNumber = 0
	offsetArch   = 4
	x32Bit       = 0x40000000
)

var archs = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// refuseCalls lets the refused calls fail with EPERM in all threads. A kernel
// without seccomp refuses nothing.
func refuseCalls() error {
	arch, known := archs[runtime.GOARCH]
	if !known {
		return nil
	}
	program := filter(arch)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	code := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&code)))
	if errno == 0 || errors.Is(errno, unix.ENOSYS) || errors.Is(errno, unix.EINVAL) {
		return nil
	}
	return errno
}

// filter returns the program for the kernel: EPERM for the refused calls and for
// those of another architecture, whose numbers mean other calls.
func filter(arch uint32) []unix.SockFilter {
	n := uint8(len(refused))
	const jump = unix.BPF_JMP | unix.BPF_K
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	program := []unix.SockFilter{
		load(offsetArch),
		{Code: jump | unix.BPF_JEQ, Jf: n + 3, K: arch},
		load(offsetNumber),
		{Code: jump | unix.BPF_JGE, Jt: n + 1, K: x32Bit},
	}
	for i, number := range refused {
		program = append(program, unix.SockFilter{Code: jump | unix.BPF_JEQ, Jt: n - uint8(i), K: number})
	}
	return append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
	)
}

//go:build !linux

package runner

import "syscall"

// Other systems than Linux know no way to keep orphans or to tell two
// processes of one id apart: there, a trainer's descendants are found by their
// process group alone, and what a killed runner left is not killed.

func adoptOrphans() {}

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func children() []int { return nil }

func born(int) string { return "" }

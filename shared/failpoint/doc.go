// Package failpoint ends the process at a named point, as kill -9 would, so
// that a test can see what a crash leaves behind at the places where it hurts
// most: before and after each append, each artifact, each launch, each
// acknowledgement.
//
// Without the build tag failpoints, a call is nothing: it is inlined away. With
// it, MILLRACE_FAILPOINT=name:count ends the process with SIGKILL when the
// point is passed for the count-th time, and MILLRACE_FAILPOINT_MARK names a
// file that is made first: it tells who killed, and a process that finds it
// lives on, so that a point kills once though the programs that a process
// starts inherit the setting.
package failpoint

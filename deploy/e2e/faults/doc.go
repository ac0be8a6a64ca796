// Package faults proves that faults around Millrace cost time and nothing else:
// NATS servers that are killed, disks that are full, an object store that is
// slow or broken, a clock that jumps back, an end by SIGTERM; and that secrets
// stay secret. It has tests only.
package faults

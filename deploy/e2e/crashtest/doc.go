// Command crashtest kills Millrace again and again, and examines what it leaves
// behind.
//
// It builds the real program with its fail points (package failpoint), starts
// it as a process, and sends uploads, predictions, labels and requests: some
// twice, some late, some out of order. Meanwhile it ends the process with
// SIGKILL, at random moments and at every named point in turn, and starts it
// again. From time to time it lets it come to rest, stops it by SIGTERM, and
// hands the folder to package checker, which knows the promises and nothing of
// the program.
//
//	go run ./deploy/e2e/crashtest -n 1000
//
// It exits with 1 if a promise was broken, and prints the seed and the folder.
package main

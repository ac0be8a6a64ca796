// Command murder kills Millrace, again and again, and has what it leaves behind
// examined.
//
// It builds the real program with its fail points (package failpoint), starts
// it as a process, and lets uploads, predictions, labels and people's wishes
// come in: some twice, some late, some out of order. Meanwhile it ends the
// process with SIGKILL, at random moments and at every named point in turn,
// and starts it again. From time to time it lets it come to rest, stops it as
// one should, and hands the folder to package checker, which knows the promises
// and nothing of the program.
//
//	go run ./deploy/e2e/murder -n 1000
//
// It ends with 1 when a promise was broken; the seed and the folder are told.
package main

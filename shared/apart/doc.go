// Package apart does work on bytes from outside in a process of its own, which
// may die: libraries written in C and C++ trust what they read, and some bytes
// end the process, take all memory or never end.
//
// The process is the same program again with one argument, the name of a Task.
// So every program that starts tasks calls Main first of all:
//
//	func main() {
//		if code, was := apart.Main(tasks...); was {
//			os.Exit(code)
//		}
//		...
//	}
//
// The process has an empty environment and reads its work from standard input.
// With Confine it gives up what it does not need: memory and processor time
// beyond a limit, files other than those of its work, the network, and other
// processes. Run says how it died, if it did.
//
// Starting it costs about 10 ms of processor time, which is that of the
// program's own start: what is initialised in every program counts twice.
package apart

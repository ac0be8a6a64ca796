// Package checker reads what a Millrace has left behind, its log, its
// artifacts, its folder, and says where a promise was broken.
//
// It knows the promises and the events, and nothing of the program: it imports
// neither the log's, the runtime's nor the state's package, decodes the events
// by itself and folds them by rules of its own, so that a mistake there does
// not hide itself here. (It reads the trigger files, for who subscribes to what.)
package checker

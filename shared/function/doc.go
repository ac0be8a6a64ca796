// Package function is the runtime of Millrace's functions: what a handler
// gets, what becomes of what it returns, and everything around it.
package function

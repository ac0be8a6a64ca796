// Package agree holds against each other what says the same thing in several
// places: event types, their schemas, triggers and handlers. It has tests only.
package agree

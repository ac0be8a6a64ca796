// Package events is the language of Millrace: every fact that crosses between
// functions, as one typed payload per CloudEvents type, and the attributes
// that go with it.
//
// A type is named dev.millrace.<noun>.<past>.v1 and written once, in the
// payload's EventType method. A payload holds references (URL and digest) and
// small facts, never rows or weights. Fields may be added to a version; a
// reader ignores fields it does not know. Anything else is a new version with
// a struct of its own, living beside the old one.
//
// What people route on (model, version, verdict, action) is an attribute too,
// because triggers filter on attributes only.
//
// The package imports the standard library alone, so that anyone can use it.
package events

//go:generate go run ./internal/gen

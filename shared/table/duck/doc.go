// Package duck is the part of package table that needs SQL: it turns uploads
// into canonical tables and checks SQL expressions over their rows. It links
// DuckDB (cgo).
//
// SQL of a pipeline file runs in a sandbox: a database of its own in
// memory that can read the files it was given and nothing else, writes nowhere
// but into the result, loads no extensions, and cannot change its settings. On
// top of that only statements are run that are one SELECT, over the relations
// they may know, calling no function whose result differs from one call to the
// next: the same input has to give the same bytes.
package duck

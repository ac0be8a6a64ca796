// Package config says what a pipeline is: the types of a pipeline file, how it
// is read and checked, its digest, and the bundle in which it travels.
//
// A pipeline is one YAML file in a folder, with its prepare, its tables and
// its trainer beside it. Load reads it strictly and tells every mistake at
// once, as Problems with file, line and field. What comes out has all its
// defaults filled in, and means the same as long as Digest is the same.
//
// Two readers, two manners: Load is for people's files and forgives nothing;
// FromJSON and ReadBundle are for what an earlier, perhaps another version
// loaded, and always find a way, since the log must stay readable.
//
// The rules stand in the tags of the types, once: the decoder, the canonical
// JSON and the JSON Schema for editors (pipeline.schema.json) all come of them.
package config

//go:generate go run ./internal/schemagen

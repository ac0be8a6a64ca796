// Package config defines a pipeline: the types of a pipeline file, how the file
// is read and checked, its digest, and the bundle in which it is distributed.
//
// A pipeline is one YAML file in a folder, with its prepare, its tables and
// its trainer beside it. Load reads it strictly and reports all mistakes at
// once, as Problems with file, line and field. The result has all defaults filled
// in. Two pipelines with the same Digest mean the same.
//
// Load is strict, since it reads files that people write. FromJSON and ReadBundle
// are lenient, since they read what an earlier or another version of Millrace
// loaded, and the log must stay readable.
//
// The rules are defined once, in the tags of the types. The decoder, the
// canonical JSON, the JSON Schema for editors (pipeline.schema.json) and the
// reference (reference.md) are derived from them.
package config

//go:generate go run ./internal/schemagen

package config

// Loaded is a pipeline with its files, as Load found them in a folder or
// ReadBundle in a bundle.
type Loaded struct {
	Pipeline *Pipeline
	// Dir is the folder of the pipeline, File the path of its YAML.
	Dir, File string
	// Prepare is the SQL of data.prepare, "" if the pipeline has no prepare.
	Prepare string
	// Tables are the csv, parquet, json and jsonl files of the folder
	// tables/, by base name without extension. prepare can read them beside
	// upload and dataset.
	Tables map[string]string
	// Digest is the hex SHA-256 of what the pipeline means: its canonical JSON
	// without labels and annotations, prepare, and the tables' bytes. Comments,
	// formatting, the order of keys and written-out defaults change nothing.
	Digest string
	// Commit is the Git commit of the folder, with the suffix -dirty if
	// something in it is not committed; "" outside Git.
	Commit string

	decoder *decoder // that read File; nil for a bundle
}

// Problem returns a mistake in a field of the pipeline file, with the field's
// position if the pipeline was read from a file.
func (l *Loaded) Problem(field, message string) Problem {
	p := Problem{File: l.File, Field: field, Message: message}
	if l.decoder != nil {
		pos := l.decoder.position(field)
		p.Line, p.Column = pos.line, pos.column
	}
	return p
}

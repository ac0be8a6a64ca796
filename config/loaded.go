package config

// Loaded is a pipeline with everything that belongs to it: what Load found in
// a folder, or ReadBundle in a bundle.
type Loaded struct {
	Pipeline *Pipeline
	// Dir is the folder of the pipeline, File the path of its YAML.
	Dir, File string
	// Prepare is the SQL of data.prepare, empty when there is none.
	Prepare string
	// Tables are the csv, parquet, json and jsonl files of the folder
	// tables/, by base name without extension: what prepare may read beside
	// upload and dataset.
	Tables map[string]string
	// Digest is the hex SHA-256 of what the pipeline means: its canonical JSON
	// without labels and annotations, prepare, and the tables' bytes. Comments,
	// formatting, the order of keys and written-out defaults change nothing.
	Digest string
	// Commit is the Git commit of the folder, with the suffix -dirty when
	// something in it is not committed; empty outside Git.
	Commit string
}

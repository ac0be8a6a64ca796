package events

// Field is one column of a partition.
type Field struct {
	Name string `json:"name"`
	// Type is string, int, float, bool or timestamp.
	Type string `json:"type"`
}

// PartitionIngested says that an object was read, prepared and written as
// canonical Parquet. ingest sends it. The same key with other bytes replaces
// its partition.
type PartitionIngested struct {
	// Object is where the rows came from.
	Object Object `json:"object"`
	// Data is the partition, canonical Parquet. Its digest is the partition's id.
	Data   Ref     `json:"data"`
	Rows   int64   `json:"rows"`
	Fields []Field `json:"fields"`
	// Content is the digest of the object's bytes, so that a sweep and a
	// second notification recognise them.
	Content string `json:"content"`
	// Config is the digest of the configuration it was read under: other rules
	// make another partition of the same bytes.
	Config string `json:"config,omitempty"`
	// Upload is the id of the upload that was read, if another event led to it: one
	// of a reingest.
	Upload string `json:"upload,omitempty"`
	// SetAside are rows of the object that are not in Data, because they do not
	// fit the contract.
	SetAside SetAside `json:"setAside,omitzero"`
	// Labels is set when the rows are logged predictions joined with labels
	// that arrived later.
	Labels bool `json:"labels,omitempty"`
}

func (PartitionIngested) EventType() string      { return "dev.millrace.partition.ingested.v1" }
func (d PartitionIngested) EventSubject() string { return "partition/" + d.Data.Short() }
func (d PartitionIngested) Validate() error {
	var m mistakes
	d.Object.validate(&m)
	m.ref("data", d.Data)
	m.required("content", d.Content)
	m.add(d.Rows > 0, "rows is %d; a partition has at least one", d.Rows)
	m.add(len(d.Fields) > 0, "fields is empty")
	if d.SetAside.Rows != 0 {
		m.add(d.SetAside.Rows > 0, "setAside.rows %d is negative", d.SetAside.Rows)
		m.ref("setAside.data", d.SetAside.Data)
	}
	return m.err()
}

// SetAside is rows that were left out of a partition under data.quarantine.
type SetAside struct {
	Rows int64 `json:"rows"`
	// Data holds them as JSON lines: the number of the record, its line, its text
	// and what is wrong with which column.
	Data Ref `json:"data"`
	// Problems are why, by column, with counts and a few examples.
	Problems []Problem `json:"problems,omitempty"`
}

// PartitionRejected says that a partition did not become part of the dataset
// and why: every problem at once. ingest sends it for what it cannot read,
// validate for what breaks the contract.
type PartitionRejected struct {
	Object Object `json:"object"`
	// Stage is ingest or validate.
	Stage string `json:"stage"`
	// Data is the partition that was checked, if it came so far.
	Data    Ref    `json:"data,omitzero"`
	Content string `json:"content,omitempty"`
	// Config is the digest of the configuration that it was held against.
	Config string `json:"config,omitempty"`
	// Upload is as in PartitionIngested.
	Upload   string    `json:"upload,omitempty"`
	Rows     int64     `json:"rows,omitempty"`
	Problems []Problem `json:"problems"`
	// Report holds the whole of what did not fit into the event.
	Report Ref `json:"report,omitzero"`
}

func (PartitionRejected) EventType() string      { return "dev.millrace.partition.rejected.v1" }
func (d PartitionRejected) EventSubject() string { return "object/" + d.Object.Key }
func (d PartitionRejected) Attributes() map[string]string {
	return map[string]string{"verdict": "rejected", "stage": d.Stage}
}
func (d PartitionRejected) Validate() error {
	var m mistakes
	d.Object.validate(&m)
	m.add(d.Stage == "ingest" || d.Stage == "validate", "stage %q is not ingest or validate", d.Stage)
	m.add(len(d.Problems) > 0, "problems is empty: a rejection says why")
	return m.err()
}

// PartitionRemoved says that the partition of a removed object leaves the
// dataset. ingest sends it; validate makes the snapshot without it.
type PartitionRemoved struct {
	Object Object `json:"object"`
	// Partition is the digest of the partition that leaves.
	Partition string `json:"partition"`
}

func (PartitionRemoved) EventType() string      { return "dev.millrace.partition.removed.v1" }
func (d PartitionRemoved) EventSubject() string { return "partition/" + Short(d.Partition) }
func (d PartitionRemoved) Validate() error {
	var m mistakes
	d.Object.validate(&m)
	m.required("partition", d.Partition)
	return m.err()
}

// LabelsIngested says that ground truth arrived for what was predicted.
// ingest sends it, together with a PartitionIngested when the labelled rows
// satisfy the pipeline's columns.
type LabelsIngested struct {
	Object Object `json:"object"`
	// Data are the labels as canonical Parquet: the key's columns and the label.
	Data Ref   `json:"data"`
	Rows int64 `json:"rows"`
	// Content is the digest of the object's bytes, Config of the configuration
	// they were read under.
	Content string   `json:"content"`
	Config  string   `json:"config,omitempty"`
	Key     []string `json:"key"`
	// Joined are the matched rows with what was predicted for them: the logged
	// features, outputs, version and the label. Empty when nothing matched.
	Joined Ref `json:"joined,omitzero"`
	// Matched rows found their prediction in the log, Unmatched did not.
	Matched   int64 `json:"matched"`
	Unmatched int64 `json:"unmatched,omitempty"`
	// Note says why the rows did not become a partition, if they did not.
	Note string `json:"note,omitempty"`
}

func (LabelsIngested) EventType() string      { return "dev.millrace.labels.ingested.v1" }
func (d LabelsIngested) EventSubject() string { return "labels/" + d.Data.Short() }
func (d LabelsIngested) Validate() error {
	var m mistakes
	d.Object.validate(&m)
	m.ref("data", d.Data)
	m.add(len(d.Key) > 0, "key is empty")
	m.add(d.Matched+d.Unmatched == d.Rows, "matched %d and unmatched %d are not the %d rows", d.Matched, d.Unmatched, d.Rows)
	return m.err()
}

// DatasetPartition is one member of a snapshot.
type DatasetPartition struct {
	Object Object `json:"object"`
	Data   Ref    `json:"data"`
	Rows   int64  `json:"rows"`
	// Profile is the partition's profile (package table, binary form).
	Profile Ref `json:"profile"`
	// Sequence orders partitions by their uploads: the greater is the newer. 0 in
	// snapshots of earlier versions, whose partitions count as older.
	Sequence int `json:"sequence,omitempty"`
}

// DatasetValidated says that a partition passed its contract and which
// snapshot the dataset is now: all valid partitions in order. validate sends
// it, guarded, so that no two snapshots forget each other's partition.
type DatasetValidated struct {
	// Snapshot is the digest of the snapshot: of the digests of its partitions in order.
	Snapshot string `json:"snapshot"`
	// Added is the partition that passed; Removed the digest of the one that
	// left or was replaced, and RemovedObject the name of its object, since
	// two objects may have equal rows.
	Added         *DatasetPartition `json:"added,omitempty"`
	Removed       string            `json:"removed,omitempty"`
	RemovedObject string            `json:"removedObject,omitempty"`
	// Partitions and Rows count the snapshot.
	Partitions int   `json:"partitions"`
	Rows       int64 `json:"rows"`
	// Manifest lists the snapshot's partitions in order, JSON of []DatasetPartition.
	Manifest Ref `json:"manifest"`
	// Profile is the snapshot's profile (package table, binary form).
	Profile Ref `json:"profile"`
	// Superseded is how many of the rows a newer row with the same data.key
	// supersedes: they are neither trained on nor held out.
	Superseded int64 `json:"superseded,omitempty"`
	// Index finds the partition that has a key or a whole row (package keyindex of
	// validate, JSON).
	Index Ref `json:"index,omitzero"`
	// Warnings compare the new partition with the snapshot before.
	Warnings []Problem `json:"warnings,omitempty"`
}

func (DatasetValidated) EventType() string      { return "dev.millrace.dataset.validated.v1" }
func (d DatasetValidated) EventSubject() string { return "dataset/" + Short(d.Snapshot) }
func (d DatasetValidated) Attributes() map[string]string {
	return map[string]string{"verdict": "validated", "snapshot": Short(d.Snapshot)}
}
func (d DatasetValidated) Validate() error {
	var m mistakes
	m.required("snapshot", d.Snapshot)
	m.add(d.Added != nil || d.Removed != "", "added and removed are missing: a snapshot changes by one of them")
	m.add(d.Rows >= 0, "rows %d is negative", d.Rows)
	m.ref("manifest", d.Manifest)
	if d.Added != nil {
		m.ref("added.data", d.Added.Data)
		m.ref("added.profile", d.Added.Profile)
		d.Added.Object.validate(&m)
	}
	return m.err()
}

// DatasetLate says that no upload has joined the dataset for as long as
// data.expect allows. validate sends it, once until the next one does.
type DatasetLate struct {
	// Last is when the last upload joined the dataset, empty before the first.
	Last string `json:"last,omitempty"`
	// Due is when the next one was expected at the latest.
	Due string `json:"due"`
	// Snapshot is the digest of the current snapshot, empty before the first.
	Snapshot string `json:"snapshot,omitempty"`
	// Reason is one sentence for a person.
	Reason string `json:"reason"`
}

func (DatasetLate) EventType() string      { return "dev.millrace.dataset.late.v1" }
func (d DatasetLate) EventSubject() string { return "dataset" }
func (d DatasetLate) Validate() error {
	var m mistakes
	m.required("due", d.Due)
	m.required("reason", d.Reason)
	return m.err()
}

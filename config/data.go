package config

// Data is what comes in: which uploads are the pipeline's, and the contract
// they keep.
type Data struct {
	// What an upload is.
	Format string `json:"format" default:"table" enum:"table" later:"files"`
	// Object keys of this pipeline: * stops at /, ** does not; s3://bucket/... names a bucket.
	Uploads []string `json:"uploads,omitempty"`
	// A file beside this one with one SELECT over upload, dataset and the tables.
	Prepare string `json:"prepare,omitempty"`
	// The contract: the columns of a partition, after prepare.
	Columns map[string]Column `json:"columns,omitempty"`
	// What happens with columns that are not listed.
	Extra string `json:"extra" default:"reject" enum:"reject,ignore"`
	// What must hold beyond single columns.
	Checks []Check `json:"checks,omitempty"`
	// The timestamp column that orders the rows.
	Time string `json:"time,omitempty"`
	// Which part of the dataset is trained on. Default: all.
	Window Window `json:"window,omitzero"`
	// Which part of the dataset the trainer never sees.
	Holdout Holdout `json:"holdout"`
	// Ground truth that arrives later.
	Labels Labels `json:"labels,omitzero"`
}

// What becomes of columns that the contract does not list.
const (
	ExtraReject = "reject"
	ExtraIgnore = "ignore"
)

// Column is one column of the contract.
type Column struct {
	// Name is the column's key in data.columns; Pipeline's accessors fill it.
	Name string `json:"-"`
	// The type of the column's values.
	Type string `json:"type" required:"true" enum:"string,int,float,bool,timestamp" later:"bytes,tensor"`
	// One sentence for people.
	Description string `json:"description,omitempty"`
	// The only values allowed.
	Values []Value `json:"values,omitempty" nonempty:"true"`
	// The smallest value allowed (int and float).
	Min *float64 `json:"min,omitempty"`
	// The largest value allowed (int and float).
	Max *float64 `json:"max,omitempty"`
	// The largest share of missing values allowed, from 0 to 1.
	Nulls float64 `json:"nulls" default:"0" min:"0" max:"1"`
}

// The types a column can have.
const (
	TypeString    = "string"
	TypeInt       = "int"
	TypeFloat     = "float"
	TypeBool      = "bool"
	TypeTimestamp = "timestamp"
)

// Numeric reports whether the column holds numbers.
func (c Column) Numeric() bool { return c.Type == TypeInt || c.Type == TypeFloat }

// Check is something that must hold beyond single columns. Exactly one of
// Rows, Unique and SQL is set.
type Check struct {
	// Name of the check: a DNS label, unique in the pipeline.
	Name string `json:"name" required:"true"`
	// How many rows a partition may have.
	Rows *RowsCheck `json:"rows,omitempty"`
	// Columns whose values together name a row.
	Unique []string `json:"unique,omitempty" nonempty:"true"`
	// An expression over the columns that is true for a good row.
	SQL string `json:"sql,omitempty" nonempty:"true"`
	// The largest share of rows that may break the check, from 0 to 1 (unique and sql).
	MaxFraction float64 `json:"max_fraction" default:"0" min:"0" max:"1"`
}

// RowsCheck bounds the number of rows of a partition.
type RowsCheck struct {
	// The least number of rows.
	Min *int64 `json:"min,omitempty" min:"0"`
	// The largest number of rows.
	Max *int64 `json:"max,omitempty" min:"1"`
}

// Window is the newest part of a dataset. The zero value is all of it.
type Window struct {
	// The newest so many partitions.
	Partitions int `json:"partitions,omitempty" min:"1"`
	// The rows of the newest so long a time; needs data.time.
	Span Duration `json:"span,omitzero" above:"0"`
}

// Holdout is how a dataset is cut into what the trainer sees and what the
// model is judged on.
type Holdout struct {
	// The share that is held out.
	Fraction float64 `json:"fraction" default:"0.2" above:"0" below:"1"`
	// The newest rows by time, or rows by the hash of their values. Default: time when data.time is set, else hash.
	By string `json:"by" enum:"time,hash"`
	// Columns that name an entity, all of whose rows stay on one side (by hash).
	Group []string `json:"group,omitempty" nonempty:"true"`
	// How much time between the two parts is left out (by time).
	Gap Duration `json:"gap,omitzero" min:"0"`
}

// How a hold-out is cut.
const (
	HoldoutByTime = "time"
	HoldoutByHash = "hash"
)

// Labels is ground truth that arrives after the prediction. The zero value is none.
type Labels struct {
	// Object keys of label uploads, as in data.uploads.
	Uploads []string `json:"uploads,omitempty"`
	// What a label belongs to: [request_id, row] for a logged prediction, or entity columns.
	Key []string `json:"key,omitempty"`
}

// labelKeyPrediction are the key columns of labels that belong to a logged
// prediction: the request's id and the row in the request, from 0.
var labelKeyPrediction = []string{"request_id", "row"}

// ByPrediction reports whether labels belong to logged predictions, by
// request_id and row, and not to entity columns.
func (l Labels) ByPrediction() bool {
	return len(l.Key) == 2 && l.Key[0] == labelKeyPrediction[0] && l.Key[1] == labelKeyPrediction[1]
}

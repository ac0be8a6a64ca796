package config

import "encoding/json"

// Data selects the pipeline's uploads and states the contract they must meet.
type Data struct {
	// How an upload is read.
	Format string `json:"format" default:"table" enum:"table" later:"files" example:"table"`
	// Object keys of this pipeline: * stops at /, ** does not; s3://bucket/... names a bucket. Required with train.
	Uploads []string `json:"uploads,omitempty" example:"['flights/*.parquet', 's3://landing/flights/**']"`
	// An SQL file beside this one: one SELECT over upload, dataset (the previous snapshot) and the files of tables/.
	Prepare string `json:"prepare,omitempty" example:"prepare.sql"`
	// The contract: the columns of a partition after prepare.
	Columns map[string]Column `json:"columns,omitempty" example:"{age: {type: int}, city: {type: string, nulls: 0.1}}"`
	// What to do with columns that the contract does not list.
	Extra string `json:"extra" default:"reject" enum:"reject,ignore" example:"ignore"`
	// How CSV files are written. Default: RFC 4180 in UTF-8 with one header row.
	CSV CSV `json:"csv,omitzero"`
	// Where the table is in Excel workbooks. Default: the first sheet with one header row.
	XLSX XLSX `json:"xlsx,omitzero"`
	// Rows that cannot be read, or whose values a column does not allow (values, min, max, and missing ones without nulls), are set aside instead of refusing the upload.
	Quarantine Quarantine `json:"quarantine,omitzero"`
	// Columns that identify what a row is about, when rows are updated: of the rows of the dataset with the same key only the newest is trained on or held out, that of the latest upload and there the last. A row with a missing value in the key stays.
	Key []string `json:"key,omitempty" nonempty:"true" example:"[order_id]"`
	// How far a partition may differ from those before it. A partition that differs more is rejected.
	Compare Compare `json:"compare,omitzero"`
	// Rules about more than one column. Each check has one of rows, unique and sql.
	Checks []Check `json:"checks,omitempty"`
	// The timestamp column that orders the rows. It has no missing values.
	Time string `json:"time,omitempty" example:"time_hour"`
	// How often data is expected. dataset.late is emitted when it does not arrive.
	Expect Expect `json:"expect,omitzero"`
	// The part of the dataset that models are trained on: one of partitions and span. Default: all of it.
	Window Window `json:"window,omitzero"`
	// The part of the dataset that the trainer never sees.
	Holdout Holdout `json:"holdout"`
	// Ground truth that arrives later.
	Labels Labels `json:"labels,omitzero"`
}

// Handling of columns that the contract does not list.
const (
	ExtraReject = "reject"
	ExtraIgnore = "ignore"
)

// Column is one column of the contract.
type Column struct {
	// Name is the column's key in data.columns; Pipeline's accessors fill it.
	Name string `json:"-"`
	// The type of the column's values.
	Type string `json:"type" required:"true" enum:"string,int,float,bool,timestamp" later:"bytes,tensor" example:"string"`
	// One sentence for people.
	Description string `json:"description,omitempty" example:"scheduled departure in local time"`
	// How times are written: strftime, or unix, unix_ms, unix_us, unix_ns. Default: ISO 8601.
	Format string `json:"format,omitempty" example:"'%d/%m/%Y %H:%M'"`
	// The time zone of times that are written without one. Default: UTC.
	Zone string `json:"zone,omitempty" example:"Europe/Berlin"`
	// The words for true (bool). Default: true, t, yes, y and 1, in any case.
	True Words `json:"true,omitempty" nonempty:"true" example:"[Ja, J]"`
	// The words for false (bool). Default: false, f, no, n and 0, in any case.
	False Words `json:"false,omitempty" nonempty:"true" example:"[Nein, N]"`
	// The unit of numbers: percent accepts a percent sign and leaves the number unchanged.
	Unit string `json:"unit,omitempty" enum:"percent" example:"percent"`
	// Other names that the column has in files.
	From Words `json:"from,omitempty" nonempty:"true" example:"[price_eur]"`
	// Files without the column are accepted; its values are then missing, or default.
	Optional bool `json:"optional,omitempty" example:"true"`
	// The value in files without the column; needs optional.
	Default *Value `json:"default,omitempty" example:"EUR"`
	// The only values allowed.
	Values []Value `json:"values,omitempty" nonempty:"true" example:"[EWR, JFK, LGA]"`
	// The smallest value allowed (int and float).
	Min *float64 `json:"min,omitempty" example:"0"`
	// The largest value allowed (int and float).
	Max *float64 `json:"max,omitempty" example:"23"`
	// The largest share of missing values allowed, from 0 to 1.
	Nulls float64 `json:"nulls" default:"0" min:"0" max:"1" example:"0.02"`
}

// CSV is how CSV files are written. The zero value is RFC 4180 in UTF-8 with one
// header row.
type CSV struct {
	// The character between values. Default: the one of , ; tab and | by which the header has the names of the contract; tab in .tsv files.
	Delimiter string `json:"delimiter,omitempty" example:"';'"`
	// The decimal mark of numbers: "." or ",". Default: ".".
	Decimal string `json:"decimal,omitempty" example:"','"`
	// The separator of thousands in numbers. Default: digits are not grouped.
	Thousands string `json:"thousands,omitempty" example:"'.'"`
	// The encoding: utf-8, utf-16, latin-1, cp1252 and others. Default: utf-8.
	Encoding string `json:"encoding,omitempty" example:"cp1252"`
	// The words for a missing value, in files of all formats. Default: NA, NaN, nan, null, NULL. A quoted word is a value of a string column.
	Null Words `json:"null,omitempty" example:"['', NA, '#N/A', '-999']"`
	// The character around values, or none. Default: the double quote.
	Quote string `json:"quote,omitempty" example:"none"`
	// How many rows the header has; the names are in the first. 0 needs names. Default: 1.
	Header *int `json:"header,omitempty" min:"0" max:"100" example:"2"`
	// The names of the columns of files without a header row.
	Names []string `json:"names,omitempty" nonempty:"true" example:"[time, temperature]"`
	// How many lines before the header are skipped.
	Skip int `json:"skip,omitempty" min:"0" max:"100000" example:"3"`
	// The character that begins a comment line. Default: there are no comments.
	Comment string `json:"comment,omitempty" example:"'#'"`
	// How many lines at the end are skipped.
	Footer int `json:"footer,omitempty" min:"0" max:"100000" example:"1"`
}

// XLSX is where the table is in Excel workbooks. The zero value is the first
// sheet with one header row.
type XLSX struct {
	// The name of the sheet. Default: the first.
	Sheet string `json:"sheet,omitempty" nonempty:"true" example:"Readings"`
	// How many rows of the sheet before the header are skipped.
	Skip int `json:"skip,omitempty" min:"0" max:"100000" example:"3"`
	// How many rows the header has; the names are in the first. Default: 1.
	Header int `json:"header,omitempty" min:"1" max:"100" example:"2"`
}

// The units of a column, and the quote of files whose values are not quoted.
const (
	UnitPercent = "percent"
	QuoteNone   = "none"
)

// Words are texts as they are written in a file. A number or a boolean in the
// list is taken as text, and a single word needs no brackets.
type Words []string

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

// Quarantine says how many rows of an upload may be set aside. The zero value
// means that an upload with a wrong row is refused.
type Quarantine struct {
	// The largest share of rows that may be set aside. An upload with more is refused.
	MaxFraction float64 `json:"max_fraction" required:"true" above:"0" max:"1" example:"0.01"`
}

// Check is a rule about more than one column. Exactly one of Rows, Unique and SQL
// is set.
type Check struct {
	// Name of the check: a DNS label, unique in the pipeline.
	Name string `json:"name" required:"true" example:"no-duplicates"`
	// How many rows a partition may have.
	Rows *RowsCheck `json:"rows,omitempty"`
	// Columns whose values together identify a row: a list for rows of one partition, or {columns: [...], across: dataset} for all rows of the dataset.
	Unique Unique `json:"unique,omitzero" example:"{columns: [order_id], across: dataset}"`
	// An expression over the columns that is true for valid rows.
	SQL string `json:"sql,omitempty" nonempty:"true" example:"'NOT (late AND arr_delay < 0)'"`
	// The largest share of rows that may break the check, from 0 to 1 (unique and sql).
	MaxFraction float64 `json:"max_fraction" default:"0" min:"0" max:"1" example:"0.01"`
}

// Unique is a key that no two rows share. The zero value is no rule.
type Unique struct {
	// Columns are those of the key. Rows in which one of them is missing are not
	// compared.
	Columns []string
	// Across is UniqueAcrossPartition or UniqueAcrossDataset.
	Across string
}

// Where a key is unique.
const (
	UniqueAcrossPartition = "partition"
	UniqueAcrossDataset   = "dataset"
)

// IsZero reports whether there is no rule.
func (u Unique) IsZero() bool { return len(u.Columns) == 0 }

// MarshalJSON returns the list of columns, or {"columns": [...], "across":
// "dataset"}. Lists have the form of versions without across, so that their
// pipelines keep their digest.
func (u Unique) MarshalJSON() ([]byte, error) {
	if u.Across != UniqueAcrossDataset {
		return json.Marshal(u.Columns)
	}
	return json.Marshal(uniqueForm(u))
}

// UnmarshalJSON reads both forms.
func (u *Unique) UnmarshalJSON(raw []byte) error {
	*u = Unique{}
	if len(raw) > 0 && raw[0] == '[' {
		u.Across = UniqueAcrossPartition
		return json.Unmarshal(raw, &u.Columns)
	}
	return json.Unmarshal(raw, (*uniqueForm)(u))
}

// uniqueForm is the long form of Unique in a file.
type uniqueForm struct {
	Columns []string `json:"columns" required:"true" nonempty:"true"`
	Across  string   `json:"across" default:"partition" enum:"partition,dataset"`
}

// Compare bounds the differences between a new partition and those before it. The
// zero value has no bounds; nothing is compared with an empty dataset.
type Compare struct {
	// Compare with this many of the newest partitions. Default: all.
	Partitions int `json:"partitions,omitempty" min:"1" example:"7"`
	// The number of rows, as a multiple of the mean of the partitions before.
	Rows *RowsRatio `json:"rows,omitempty"`
	// The largest population stability index (PSI) of a column. Differences that may be chance are within it.
	PSI *float64 `json:"psi,omitempty" above:"0" example:"0.25"`
	// By how much the share of missing values of a column may rise, from 0 to 1.
	Nulls *float64 `json:"nulls,omitempty" min:"0" max:"1" example:"0.05"`
	// The columns that psi and nulls are about. Default: the features that are not timestamps, and the label.
	Columns []string `json:"columns,omitempty" nonempty:"true" example:"[carrier, distance]"`
}

// RowsRatio bounds the number of rows of a partition by that of others.
type RowsRatio struct {
	// The smallest multiple.
	Min *float64 `json:"min,omitempty" min:"0" example:"0.5"`
	// The largest multiple, at least min.
	Max *float64 `json:"max,omitempty" above:"0" example:"2"`
}

// RowsCheck bounds the number of rows of a partition.
type RowsCheck struct {
	// The smallest number of rows.
	Min *int64 `json:"min,omitempty" min:"0" example:"1000"`
	// The largest number of rows, at least min.
	Max *int64 `json:"max,omitempty" min:"1" example:"1000000"`
}

// Expect is how often data is expected. The zero value expects no data.
type Expect struct {
	// How often an upload is expected to join the dataset. Required with late.
	Every Duration `json:"every,omitzero" above:"0" example:"1d"`
	// How long after the last one the dataset is late: at least every. Default: every.
	Late Duration `json:"late,omitzero" above:"0" example:"26h"`
}

// Window is the newest part of a dataset. The zero value is the whole dataset.
type Window struct {
	// Only this many of the newest partitions.
	Partitions int `json:"partitions,omitempty" min:"1" example:"6"`
	// Only the rows of the newest period of this length. Needs data.time.
	Span Duration `json:"span,omitzero" above:"0" example:"90d"`
}

// Holdout is how a dataset is split into a part for training and a part for
// evaluation.
type Holdout struct {
	// The share of the rows that is held out.
	Fraction float64 `json:"fraction" default:"0.2" above:"0" below:"1" example:"0.2"`
	// Hold out the newest rows (time, which needs data.time), rows by the hash of their features, so that equal rows stay on one side (hash), rows drawn one by one (random), or whole uploads (uploads). Default: uploads when they are set, time when data.time is set, random with seed or stratify, else hash.
	By string `json:"by" enum:"time,hash,random,uploads" example:"time"`
	// Object keys of fixed test files, as in data.uploads, where they need not be repeated. Their rows are held out whole and never trained on.
	Uploads []string `json:"uploads,omitempty" nonempty:"true" example:"['flights/test.parquet']"`
	// Another number draws other rows. Needs by: random.
	Seed int64 `json:"seed,omitempty" min:"0" example:"7"`
	// Keep the label's shares: hold out the fraction of the rows of each class. For classifications; needs by: random.
	Stratify bool `json:"stratify,omitempty" example:"true"`
	// Columns that identify an entity. All rows of an entity stay on one side. Needs by: hash.
	Group []string `json:"group,omitempty" nonempty:"true" example:"[customer_id]"`
	// The length of the gap between the two parts; its rows are in neither. Needs by: time.
	Gap Duration `json:"gap,omitzero" min:"0" example:"7d"`
}

// The kinds of split.
const (
	HoldoutByTime    = "time"
	HoldoutByHash    = "hash"
	HoldoutByRandom  = "random"
	HoldoutByUploads = "uploads"
)

// Labels is ground truth that arrives after the prediction. The zero value means
// that the pipeline has no labels.
type Labels struct {
	// Object keys of label uploads, as in data.uploads. A key must match only one of the two lists.
	Uploads []string `json:"uploads,omitempty" example:"['flights-labels/*.parquet']"`
	// What a label belongs to: [request_id, row] for a logged prediction, or entity columns. Required with labels.uploads.
	Key []string `json:"key,omitempty" example:"[request_id, row]"`
}

// labelKeyPrediction lists the key columns of labels for logged predictions: the
// request's id and the row in the request, from 0.
var labelKeyPrediction = []string{"request_id", "row"}

// ByPrediction reports whether labels belong to logged predictions, by
// request_id and row, and not to entity columns.
func (l Labels) ByPrediction() bool {
	return len(l.Key) == 2 && l.Key[0] == labelKeyPrediction[0] && l.Key[1] == labelKeyPrediction[1]
}

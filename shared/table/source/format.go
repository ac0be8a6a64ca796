package source

import (
	"path"
	"slices"
	"strings"

	"millrace.dev/shared/table"
)

// Format is what a file is, by its name.
type Format string

// The formats.
const (
	CSV     Format = "csv"
	TSV     Format = "tsv"
	JSON    Format = "json"  // an array of objects, or objects one after the other
	Lines   Format = "jsonl" // one object a line
	Parquet Format = "parquet"
	Arrow   Format = "arrow" // an Arrow file (Feather), or a stream
	Excel   Format = "xlsx"  // one sheet of an Excel workbook
)

// Formats lists the extensions that can be read.
const Formats = ".csv, .tsv, .jsonl, .ndjson, .json, .parquet, .parq, .pq, .arrow, .arrows, .feather, .ipc, .xlsx or .xlsm; all but the last two compressed also: .gz, .zst, .bz2, .xz or .zip"

var extensions = map[string]Format{
	".csv": CSV, ".tsv": TSV, ".json": JSON, ".jsonl": Lines, ".ndjson": Lines,
	".parquet": Parquet, ".parq": Parquet, ".pq": Parquet,
	".arrow": Arrow, ".arrows": Arrow, ".feather": Arrow, ".ipc": Arrow,
	".xlsx": Excel, ".xlsm": Excel,
}

var compressions = []string{".gz", ".zst", ".bz2", ".xz", ".zip"}

// FormatOf returns the format and the compression that the extensions of a name
// state, in any case; the compression is empty if the name states no compression. The format of
// an archive without another extension is that of its member, and empty here.
func FormatOf(name string) (format Format, compression string, err error) {
	lower := strings.ToLower(name)
	if ext := path.Ext(lower); slices.Contains(compressions, ext) {
		compression = ext
		lower = strings.TrimSuffix(lower, ext)
	}
	format, ok := extensions[path.Ext(lower)]
	if !ok && compression != ".zip" {
		return "", "", &table.Unreadable{Name: name, Reason: "the extension of its name is not a format that can be read", Try: "name it " + Formats}
	}
	return format, compression, nil
}

// How a zip archive begins, which an Excel workbook is, and an .xls of old Excel.
const (
	zipMagic = "PK\x03\x04"
	oleMagic = "\xd0\xcf\x11\xe0"
)

// signatures are how files of other formats begin, for names that promise text.
var signatures = []struct{ magic, is string }{
	{"PAR1", "a Parquet file: name it .parquet"},
	{zipMagic, "a zip archive or an Excel workbook: name it .zip or .xlsx"},
	{"\x1f\x8b", "a gzip file: add .gz to its name"},
	{"\x28\xb5\x2f\xfd", "a zstd file: add .zst to its name"},
	{"BZh", "a bzip2 file: add .bz2 to its name"},
	{"\xfd7zXZ\x00", "an xz file: add .xz to its name"},
	{oleMagic, "an old Excel workbook: save it as .xlsx"},
	{"ARROW1", "an Arrow file: name it .arrow"},
	{"\x89HDF", "an HDF5 file: write it as Parquet"},
	{"SQLite format 3", "an SQLite database: export the table as CSV"},
	{"%PDF", "a PDF file: upload a table"},
}

// misnamed returns what bytes that should begin a text really are, or "".
func misnamed(head []byte) string {
	for _, s := range signatures {
		if strings.HasPrefix(string(head), s.magic) {
			return s.is
		}
	}
	return ""
}

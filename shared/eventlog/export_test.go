package eventlog

// RecordOf is recordOf, for tests of records that a server would have to deliver.
var RecordOf = recordOf

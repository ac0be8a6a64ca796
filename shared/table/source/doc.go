// Package source reads the files that people upload into canonical tables: CSV
// in a stated dialect, JSON lines, JSON arrays, Arrow, Excel and Parquet, compressed or not.
//
// Every value is read as it is written and converted by the rule of its column
// (package cell); no type, date or dialect is guessed where the contract states
// one. A file is read whole or refused with a sentence for each thing that is
// wrong with it: as many rows come out as records went in, which a counter that
// shares no code with the reader confirms.
package source

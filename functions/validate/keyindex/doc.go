// Package keyindex finds which partition of a dataset has a key.
//
// An [Index] lists runs. A [Run] is a file of the artifact store with the keys of
// one or more partitions, sorted: 16 bytes each, 96 bits of the key and the number
// of the partition in the run. Runs never change; an index refers to them by
// digest. So an index is as good as the event that refers to it: what a killed
// process or a refused commit leaves behind is files that no index refers to.
//
// A partition that has left the dataset stays in its runs, and [Index.Find] is
// told which partitions count. Runs of equal size are merged, eight at a time, up
// to mergeKeys keys, which drops such partitions; a merge reads and writes at most
// that many.
//
// Memory does not depend on the number of keys in the index: runs are read in
// order, or by binary search if few keys are looked for. A new run is sorted in
// parts of sortKeys keys, with a temporary file.
//
// Two different keys agree in 96 bits with a probability of 6e-14 among 100
// million keys.
package keyindex

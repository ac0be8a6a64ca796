// Package scaffold makes the folder of a pipeline out of a data file: the pipeline file with the contract that the file
// keeps, a trainer, its requirements and a README. It is a beginning, and belongs to the user from then on.
package scaffold

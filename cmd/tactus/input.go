package main

import (
	"fmt"
	"io"
	"os"
)

// The largest files that are read, in bytes: one definition, and a file of many.
const (
	maxDefinitionFile = 4 << 20
	maxImportFile     = 64 << 20
)

// readInput reads a file, or standard input for "-". It refuses a file of more than most bytes.
func readInput(path string, most int64) ([]byte, error) {
	from := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s has more than %d MiB", path, most>>20)
	}
	return raw, err
}

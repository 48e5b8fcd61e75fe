package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
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
	return readMost(from, path, most)
}

// readBelow reads a regular file below a folder. It refuses what leads out of the folder, and waits for no pipe.
func readBelow(folder *os.Root, name string, most int64) ([]byte, error) {
	path := filepath.Join(folder.Name(), name)
	info, err := folder.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, usage("%s is no regular file", path)
	}
	var f *os.File
	if err == nil {
		f, err = folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, usage("%s cannot be read as a file of the folder: %v", path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil || !info.Mode().IsRegular() { // it may have been replaced
		return nil, usage("%s is no regular file", path)
	}
	return readMost(f, path, most)
}

func readMost(from io.Reader, path string, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(raw)) > most {
		err = fmt.Errorf("%s has more than %d MiB", path, most>>20)
	}
	return raw, err
}

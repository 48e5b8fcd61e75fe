package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInputIsBounded gives commands a file without an end, and one that is too large.
func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil { // it has no blocks
		t.Fatal(err)
	}
	for _, file := range []string{"/dev/zero", large} {
		for _, args := range [][]string{
			{"import", "crontab", "--task=t", "--source=s", "--database-url=postgres://127.0.0.1:1/x", file},
			{"schedule", "create", "--url=http://127.0.0.1:1", "-f", file},
		} {
			if got := tactus(t, args...); got.code == exitOK || !strings.Contains(got.problems, "has more than") {
				t.Errorf("%v: %d %.300s", args, got.code, got.problems)
			}
		}
	}
}

// TestFolderIsReadAlone applies folders with entries that are not regular files of the folder.
func TestFolderIsReadAlone(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	if err := os.WriteFile(outside, []byte("schedules: [{name: secret}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"pipe":            func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link to outside": func(path string) error { return os.Symlink(outside, path) },
		"link to device":  func(path string) error { return os.Symlink("/dev/null", path) },
		"link to nothing": func(path string) error { return os.Symlink("gone.yaml", path) },
	} {
		dir := t.TempDir()
		if err := put(filepath.Join(dir, "f.yaml")); err != nil {
			t.Fatal(err)
		}
		got := tactus(t, "apply", "--url=http://127.0.0.1:1", "-f", dir)
		if got.code != exitUsage || !strings.Contains(got.problems, "f.yaml") || strings.Contains(got.problems, "secret") {
			t.Errorf("%s: %d %s", name, got.code, got.problems)
		}
	}
}

// TestLinksWithinFolderAreRead applies a folder as Kubernetes mounts a ConfigMap, given by a link.
func TestLinksWithinFolderAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := filepath.Join(dir, "mount")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(mount, "..2026"), 0o700),
		os.WriteFile(filepath.Join(mount, "..2026", "f.yaml"), []byte("calendars: [{name: read, days: [2127-13-01]}]\n"), 0o600),
		os.Symlink("..2026", filepath.Join(mount, "..data")),
		os.Symlink("..data/f.yaml", filepath.Join(mount, "f.yaml")),
		os.Symlink("mount", filepath.Join(dir, "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := tactus(t, "apply", "--url=http://127.0.0.1:1", "-f", filepath.Join(dir, "link"))
	if got.code != exitUsage || !strings.Contains(got.problems, "f.yaml:1: read: ") || !strings.Contains(got.problems, "1 fault") {
		t.Errorf("%d %s", got.code, got.problems)
	}
}

// TestForeignFileIsNotCited gives commands files of another kind than they read; the message cites nothing of their
// content.
func TestForeignFileIsNotCited(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"hidden: !!binary hidden\n", "hidden:!:20593:::::\nhidden2:*:1::::\n", "*hidden\n", "a: *hidden\n", "hidden\n",
		"a: 'hidden\n", "%hidden\n---\n", "!hidden!x a\n", "\"\\hidden\"\n", "hidden: 1\n  hidden: 2\n", "{\"hidden\": 1}",
		"BEGIN:hidden\nhidden\n", "[{\"hidden\"",
	} {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"apply", "-f", file},
			{"schedule", "create", "-f", file},
			{"calendar", "put", "x", "-f", file},
			{"calendar", "import", file},
		} {
			got := tactus(t, append(args, "--url=http://127.0.0.1:1")...)
			if got.code == exitOK || strings.Contains(got.out+got.problems, "hidden") {
				t.Errorf("%v of %q: %d %s", args, text, got.code, got.problems)
			}
		}
	}
}

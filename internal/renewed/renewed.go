// Package renewed reads settings anew that came from files.
//
// A password that is replaced in PostgreSQL or Redis is replaced in the file of the setting, too (DATABASE_URL_FILE).
// Connections that are open stay, and the next one takes what the file has then: no process has to be restarted. Only
// users and passwords are taken; another host is another setting.
package renewed

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// files are the paths of the files from which settings came, by their texts.
var files sync.Map

// Keep notes that a setting with some text, or with one that was made of it, came from a file.
func Keep(text, path string) {
	if text != "" && path != "" {
		files.Store(text, path)
	}
}

// PathOf returns the file from which a setting came; "" when from none.
func PathOf(text string) string {
	path, _ := files.Load(text)
	from, _ := path.(string)
	return from
}

// Read returns what a file of a setting has.
func Read(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the file of a setting: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

package servers

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// NewPassword returns a random password that needs no quoting anywhere.
func NewPassword() string {
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

func (c Config) secretFile() string { return filepath.Join(c.Dir, "password") }

// secret returns the password of the server's administrator: the configured one, or a random one that is kept in the
// folder. isNew reports whether data that was in the folder before cannot have this password.
func (c Config) secret() (secret string, isNew bool, err error) {
	if c.Password != "" {
		return c.Password, false, nil
	}
	text, err := readOwn(c.secretFile())
	if secret = strings.TrimSpace(text); err == nil && secret != "" {
		return secret, false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("read the password: %w", err)
	}
	return NewPassword(), true, nil
}

// keep stores a password for the next start.
func (c Config) keep(secret string) error {
	if err := WriteOwn(c.secretFile(), secret+"\n"); err != nil {
		return fmt.Errorf("keep the password: %w", err)
	}
	return nil
}

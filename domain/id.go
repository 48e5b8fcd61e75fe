package domain

import (
	"encoding/hex"
	"errors"
)

// ID is a UUID. Its text form is the canonical 36 characters in lower case.
type ID [16]byte

var errID = errors.New("not a UUID: want 8-4-4-4-12 hexadecimal digits")

// ParseID parses the canonical text form, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, errID
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, errID
	}
	return id, nil
}

// IsZero reports whether id is the nil UUID, which no schedule or run has.
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string {
	text, _ := id.AppendText(make([]byte, 0, textLength)) // never fails
	return string(text)
}

const textLength = 36

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(make([]byte, 0, textLength)) }

// AppendText implements encoding.TextAppender.
func (id ID) AppendText(to []byte) ([]byte, error) {
	for i, part := range [][]byte{id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]} {
		if i > 0 {
			to = append(to, '-')
		}
		to = hex.AppendEncode(to, part)
	}
	return to, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

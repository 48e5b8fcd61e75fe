package celery

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// scanner goes through JSON text value by value and decodes nothing by itself: for the few members of a run, package
// json takes most of what a relay does for it. It finds where values end and does not look whether what is inside of
// them is valid.
type scanner struct {
	text []byte
	at   int
}

// next returns the next byte that is no space, without taking it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take takes the next byte that is no space if it is c.
func (s *scanner) take(c byte) bool {
	if s.next() != c || s.at == len(s.text) {
		return false
	}
	s.at++
	return true
}

// value takes the next value; nil when it has no end. A string is taken with its quotes.
func (s *scanner) value() []byte {
	switch s.next() {
	case '"':
		return s.quoted()
	case '[', '{':
		return s.container()
	default:
		return s.literal()
	}
}

func (s *scanner) quoted() []byte {
	from := s.at
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\':
			s.at++
		case c == '"':
			s.at++
			return s.text[from:s.at]
		case c < ' ':
			return nil
		}
	}
	return nil
}

func (s *scanner) container() []byte {
	from := s.at
	for depth := 0; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '"':
			if s.quoted() == nil {
				return nil
			}
			s.at--
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				s.at++
				return s.text[from:s.at]
			}
		}
	}
	return nil
}

// literal takes a number, true, false or null.
func (s *scanner) literal() []byte {
	from := s.at
	for s.at < len(s.text) && bytes.IndexByte([]byte(" \t\n\r,:]}"), s.text[s.at]) < 0 {
		s.at++
	}
	if s.at == from {
		return nil
	}
	return s.text[from:s.at]
}

// unquote returns what a quoted string says; false if that is not valid.
func unquote(quoted []byte) (string, bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	if inside := quoted[1 : len(quoted)-1]; bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return string(inside), true
	}
	return unescape(quoted)
}

// unescape is apart from unquote, whose result would else be allocated by itself.
func unescape(quoted []byte) (text string, ok bool) {
	err := json.Unmarshal(quoted, &text)
	return text, err == nil
}

package access

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
)

// Headers in which a client says why it asks for something, and, where everybody may do everything, who it is.
const (
	reasonHeader = "X-Tactus-Reason"
	actorHeader  = "X-Tactus-Actor"
)

// claimed returns the principal of a request where nobody has to prove who they are. What a client says of itself is
// kept for the record, and gives it nothing.
func claimed(r *http.Request) (Principal, error) {
	name, err := textOf(r, actorHeader, domain.MaxActor-len(Anonymous)-1)
	who := anonymous
	who.Name = name
	return who, err
}

// textOf returns the text of a header that is to be stored.
func textOf(r *http.Request, header string, most int) (string, error) {
	text := strings.TrimSpace(r.Header.Get(header))
	code, message := "", ""
	switch {
	case !utf8.ValidString(text), strings.Contains(text, "\x00"):
		code, message = "utf8_invalid", "the header is not UTF-8, or holds the character U+0000"
	case utf8.RuneCountInString(text) > most:
		code, message = "text_invalid", "the header is too long: say it in fewer characters"
	default:
		return text, nil
	}
	return "", &domain.Error{Kind: domain.Invalid, Code: code, Field: header, Message: message}
}

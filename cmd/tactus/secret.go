package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/renewed"
)

// secret is a setting that may contain passwords, such as a URL. Every way of printing a secret, or a struct that
// contains one, prints String instead of the text: fmt with any verb, JSON, and logs. Only reveal returns the text.
// a pointer, because fmt prints unexported members of a struct without calling their methods
type secret struct{ text *string }

func secretOf(text string) secret { return secret{&text} }

func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

func (s secret) isSet() bool { return s.reveal() != "" }

// UnmarshalText stores the text unchanged.
func (s *secret) UnmarshalText(text []byte) error {
	*s = secretOf(string(text))
	return nil
}

// String returns the address that the setting names, without passwords. It returns a placeholder if it cannot tell the
// address from the passwords.
func (s secret) String() string {
	text := s.reveal()
	if text == "" {
		return ""
	}
	if !strings.Contains(text, "://") {
		return redactPairs(text)
	}
	var all []string
	for part := range strings.SplitSeq(text, ";") { // Celery's list of Sentinels
		found := address.FindStringSubmatch(part)
		if found == nil {
			return hidden
		}
		all = append(all, found[1]+mask(found[2], "xxxxx@")+found[3]+mask(found[4], "?xxxxx"))
	}
	return strings.Join(all, ";")
}

const hidden = "(set, and not shown)"

// address matches a URL whose parts cannot be mistaken for each other: scheme, user and password, hosts with path, and
// parameters, which may contain passwords too. It does not match a URL whose password contains an unescaped @, /, ? or
// #.
var address = regexp.MustCompile(`^([a-z][a-z0-9+]*://)([^@/?#]*@)?((?:` + hostPattern + `(?:,` + hostPattern +
	`)*)?(?:/[\w.%~-]*)*)(\?[^@#]*)?$`)

const hostPattern = `(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d+)?`

func mask(text, with string) string {
	if text == "" {
		return ""
	}
	return with
}

// redactPairs returns host, port and database of PostgreSQL's key=value form.
func redactPairs(text string) string {
	c, err := pgx.ParseConfig(text)
	if err != nil || !strings.Contains(text, "=") || strings.Contains(c.Host, "@") {
		return hidden
	}
	return fmt.Sprintf("host=%s port=%d dbname=%s", c.Host, c.Port, c.Database)
}

// GoString implements fmt.GoStringer.
func (s secret) GoString() string { return s.String() }

// Format implements fmt.Formatter. It ignores the verb.
func (s secret) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, s.String()) }

// LogValue implements slog.LogValuer.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// quoted matches what errors quote.
var quoted = regexp.MustCompile(`"[^"]*"`)

// fault returns an error about the setting without the parts of the setting that it quotes. URL parsers quote what they
// do not understand, which is often a part of a password with a character that should have been escaped.
func (s secret) fault(err error) error {
	text := err.Error()
	if strings.Contains(s.reveal(), "://") && s.String() == hidden {
		return errAmbiguous
	}
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok { // cannot parse `...`: reason
		text = text[strings.LastIndex(text, "`: ")+len("`: "):]
	}
	return errors.New(quoted.ReplaceAllStringFunc(text, func(cited string) string {
		inner := strings.Trim(cited, `"`)
		if strings.Contains(s.reveal(), inner) && !strings.HasPrefix(s.reveal(), inner+"://") {
			return `"..."`
		}
		return cited
	}))
}

// errAmbiguous is the whole error for a URL in which the password cannot be told from the rest.
var errAmbiguous = errors.New(
	"the URL cannot be read: write special characters of the user and the password (/ ? # @ : % ;) as %2F and so on")

// checkHosts refuses a URL with a host that cannot be one. Such a host is usually the rest of a password with an
// unescaped @, and an error of dialing it would quote it.
func (s secret) checkHosts() error {
	scheme, rest, isURL := strings.Cut(s.reveal(), "://")
	if !isURL || scheme == "sentinel" { // Celery's list of URLs, which nothing here dials
		return nil
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	_, hosts, hasUser := strings.Cut(authority, "@")
	if !hasUser {
		hosts = authority
	}
	if strings.Count(rest, "@") > 1 && hasUser || !hostList.MatchString(hosts) {
		return errAmbiguous
	}
	return nil
}

// hostList matches hosts with ports. A host that begins with %2F is the folder of a socket.
var hostList = regexp.MustCompile(`^(([\p{L}\p{N}_.%-]*|\[[0-9a-zA-Z:.%_-]+\])(:[^@:/]*)?(,|$))*$`)

// checkSecrets checks every URL of a command before anything dials it.
func checkSecrets(parsed *kong.Context) error {
	values := map[string]*kong.Value{}
	for _, flag := range parsed.Flags() {
		values[strings.Join(flag.Envs, ", ")] = flag.Value
	}
	for _, argument := range parsed.Selected().Positional {
		values[argument.Summary()] = argument
	}
	for name, value := range values {
		s, isSecret := value.Target.Interface().(secret)
		if !isSecret {
			continue
		}
		if err := s.checkHosts(); err != nil {
			return usage("%s: %v", name, err)
		}
	}
	return nil
}

// atInPath matches a URL whose password contains a slash. A parser would take the password for a port and the name of a
// database, and quote both.
var atInPath = regexp.MustCompile(`^[a-z]+://[^/?#]*/[^?#]*@`)

// checkDatabase refuses a setting that is not the address of a PostgreSQL, before other code reads and quotes it.
func (s secret) checkDatabase(setting string) error {
	if atInPath.MatchString(s.reveal()) {
		return usage("%s: %v", setting, errAmbiguous)
	}
	c, err := pgx.ParseConfig(s.reveal())
	if err != nil {
		return usage("%s: %v", setting, s.fault(err))
	}
	hosts := []string{c.Host}
	for _, other := range c.Fallbacks {
		hosts = append(hosts, other.Host)
	}
	for _, host := range hosts {
		if strings.Contains(host, "@") && !filepath.IsAbs(host) {
			return usage("%s: %v", setting, errAmbiguous)
		}
	}
	return nil
}

// secretFiles is a kong.Resolver that reads a secret X from the file that X_FILE names, the way containers receive
// secrets.
type secretFiles struct{}

// Validate implements kong.Resolver.
func (secretFiles) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (secretFiles) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Target.Type() != reflect.TypeFor[secret]() {
		return nil, nil
	}
	for _, name := range flag.Envs {
		path := os.Getenv(name + "_FILE")
		if path == "" {
			continue
		}
		if os.Getenv(name) != "" {
			return nil, fmt.Errorf("both %s and %s_FILE are set: leave one out", name, name)
		}
		text, err := renewed.Read(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		renewed.Keep(text, path)
		return text, nil
	}
	return nil, nil
}

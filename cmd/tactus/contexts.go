package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// savedServer is a context: how to call an API, as values of flags.
type savedServer struct {
	URL        string `yaml:"url"`
	Token      string `yaml:"token"`
	TokenFile  string `yaml:"token_file"`
	ClientCert string `yaml:"client_cert"`
	ClientKey  string `yaml:"client_key"`
	ServerCA   string `yaml:"server_ca"`
}

// contextFile is ~/.config/tactus/contexts.yaml.
type contextFile struct {
	Current  string                 `yaml:"current"` // unless --context or TACTUS_CONTEXT names another one
	Contexts map[string]savedServer `yaml:"contexts"`
}

func contextPath() (string, error) {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "tactus", "contexts.yaml"), nil
}

// readContexts reads the file; where there is none, there are no contexts. The errors quote nothing of its content.
func readContexts() (f contextFile, path string, err error) {
	if path, err = contextPath(); err != nil {
		return f, "", nil // a user without a home has no contexts
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, path, nil
	}
	if err != nil {
		return f, path, err
	}
	raw, err := readInput(path, maxDefinitionFile)
	if err != nil {
		return f, path, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return f, path, fmt.Errorf("%s: want current: NAME and contexts: {NAME: {url, token or token_file, "+
			"client_cert, client_key, server_ca}}", path)
	}
	for name, s := range f.Contexts {
		switch {
		case s.URL == "":
			err = fmt.Errorf("%s: the context %s has no url", path, name)
		case s.Token != "" && s.TokenFile != "":
			err = fmt.Errorf("%s: the context %s has both token and token_file: leave one out", path, name)
		case s.Token != "" && info.Mode().Perm()&0o077 != 0:
			err = fmt.Errorf("%s has a token and can be read by others: chmod 600 %s", path, path)
		}
		if err != nil {
			return f, path, err
		}
	}
	return f, path, nil
}

// contexts is a kong.Resolver that takes the flags of a client from a context. A context that is named overrides the
// environment. The current context is ignored if a URL is given, so that its key is not sent to another server.
type contexts struct{}

// Validate implements kong.Resolver.
func (contexts) Validate(*kong.Application) error { return nil }

// ofContext are the flags that a context may set.
var ofContext = []string{"url", "token", "client-cert", "client-key", "server-ca"}

// Resolve implements kong.Resolver.
func (contexts) Resolve(parsed *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !slices.Contains(ofContext, flag.Name) || parsed.Selected() == nil {
		return nil, nil
	}
	named, isClient := "", false
	for _, f := range parsed.Flags() {
		if f.Name == "context" {
			named, isClient = fmt.Sprint(parsed.FlagValue(f)), true
		}
	}
	if !isClient {
		return nil, nil
	}
	s, err := choose(named, onCommandLine(parsed, "url"))
	if s == nil || err != nil {
		return nil, err
	}
	fromEnvironment := ""
	if os.Getenv("TACTUS_URL") == "" && os.Getenv("TACTUS_URL_FILE") == "" && flag.Name != "url" {
		fromEnvironment = flag.Envs[0]
	}
	value, err := s.value(flag.Name)
	if err == nil && value == "" && fromEnvironment != "" {
		return nil, nil // the environment names no other server
	}
	return value, err
}

// choose returns the named context, the current one, or none.
func choose(named string, urlGiven bool) (*savedServer, error) {
	elsewhere := urlGiven || os.Getenv("TACTUS_URL") != "" || os.Getenv("TACTUS_URL_FILE") != ""
	if named == "" && elsewhere {
		return nil, nil
	}
	file, path, err := readContexts()
	if err != nil {
		return nil, err
	}
	if named != "" && urlGiven {
		return nil, errors.New("both --url and a context (--context, TACTUS_CONTEXT) name a server: leave one out")
	}
	name := named
	if name == "" {
		name = file.Current
	}
	if name == "" {
		return nil, nil
	}
	s, found := file.Contexts[name]
	if !found {
		known := strings.Join(slices.Sorted(maps.Keys(file.Contexts)), ", ")
		return nil, fmt.Errorf("there is no context %q in %s (there: %s)", name, path, known)
	}
	return &s, nil
}

// value returns the value of a flag in a context.
func (s savedServer) value(flag string) (string, error) {
	switch flag {
	case "url":
		return s.URL, nil
	case "client-cert":
		return s.ClientCert, nil
	case "client-key":
		return s.ClientKey, nil
	case "server-ca":
		return s.ServerCA, nil
	}
	if s.TokenFile == "" {
		return s.Token, nil
	}
	text, err := readInput(s.TokenFile, maxDefinitionFile)
	if err != nil {
		return "", fmt.Errorf("token_file of the context: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// onCommandLine reports whether a flag stands on the command line.
func onCommandLine(parsed *kong.Context, name string) bool {
	return slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool {
		return p.Flag != nil && !p.Resolved && p.Flag.Name == name
	})
}

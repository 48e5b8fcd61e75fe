package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The kinds of items in a manifest, named as the members of its documents, in the order in which they are applied:
// schedules refer to calendars, so calendars come before them.
const (
	calendarsMember = "calendars"
	routesMember    = "routes"
	schedulesMember = "schedules"
	rulesMember     = "notification_rules"
)

var manifestKinds = []string{calendarsMember, routesMember, schedulesMember, rulesMember}

// pathOf returns the API's path for a kind.
func pathOf(kind string) string { return "/" + strings.ReplaceAll(kind, "_", "-") + "/" }

// called maps a kind to the member that names an item.
func called(kind string) string {
	if kind == routesMember {
		return "pattern"
	}
	return "name"
}

// item is a schedule, calendar or route in a manifest.
type item struct {
	Kind, Name string
	place      place
	members    map[string]json.RawMessage
	template   string // a rule's address as the file has it, if it names variables
	faulty     bool
}

// body returns the item as the body of a request, without some members.
func (i item) body(without ...string) []byte {
	members := map[string]json.RawMessage{}
	for name, value := range i.members {
		if !slices.Contains(without, name) {
			members[name] = value
		}
	}
	raw, _ := json.Marshal(members) // all are valid JSON
	return raw
}

// place is the position of a value in a file.
type place struct {
	file string
	node *yaml.Node // nil if lines are not known
}

// at returns the place of a member, given as a JSON pointer, or the nearest place around it.
func (p place) at(pointer string) string {
	node := p.node
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		inner := child(node, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		if inner == nil {
			break
		}
		node = inner
	}
	if node == nil {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, node.Line)
}

func child(node *yaml.Node, step string) *yaml.Node {
	switch {
	case node == nil:
	case node.Kind == yaml.AliasNode:
		return child(node.Alias, step)
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i+1]
			}
		}
	case node.Kind == yaml.SequenceNode:
		if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(node.Content) {
			return node.Content[n]
		}
	}
	return nil
}

// wrong collects the faults of manifests, each with its place.
type wrong []string

func (w *wrong) add(at, format string, args ...any) {
	*w = append(*w, at+": "+fmt.Sprintf(format, args...))
}

// reading collects the faults of manifests, and counts their size with anchors expanded.
type reading struct {
	wrong
	bytes, most int
	tooMuch     bool
}

func newReading() *reading { return &reading{most: spareBytes} }

// spareBytes is how many bytes expanded anchors may add to manifests, counted once for each copy.
const (
	spareBytes = 64 << 20
	copies     = 8
)

// readManifests reads files, folders and standard input (-).
func readManifests(paths []string, faults *reading) (items []item, err error) {
	for _, path := range paths {
		some, err := itemsAt(path, faults)
		if err != nil {
			return nil, err
		}
		items = append(items, some...)
	}
	return items, nil
}

// describedOnce adds a fault for each item that is described twice.
func describedOnce(items []item, faults *wrong) {
	seen := map[[2]string]item{}
	for _, i := range items {
		key := [2]string{i.Kind, i.Name}
		if before, again := seen[key]; again {
			faults.add(i.place.at(""), "%q is described at %s as well", i.Name, before.place.at(""))
		}
		seen[key] = i
	}
}

func itemsAt(path string, faults *reading) ([]item, error) {
	if path != "-" {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usage("-f %s: there is no such file or folder", path)
		}
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return itemsBelow(path, faults)
		}
	}
	raw, err := readInput(path, maxImportFile)
	if err != nil {
		return nil, err
	}
	return readManifest(path, raw, faults), nil
}

// itemsBelow reads the files in a folder and in the folders below, by name. A folder may be written by people who may
// not read all that this process can, so nothing outside of it is read.
func itemsBelow(path string, faults *reading) (items []item, err error) {
	folder, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	found := 0
	err = fs.WalkDir(folder.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			return err
		}
		found++
		raw, err := readBelow(folder, name, maxImportFile)
		if err == nil {
			items = append(items, readManifest(filepath.Join(path, name), raw, faults)...)
		}
		return err
	})
	if err == nil && found == 0 {
		err = usage("%s has no file that ends in .yaml, .yml or .json", path)
	}
	return items, err
}

// readManifest reads the documents of a file, in YAML or JSON.
func readManifest(file string, raw []byte, faults *reading) (items []item) {
	faults.most += copies * len(raw)
	decoder := yaml.NewDecoder(bytes.NewReader(readable(raw)))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return items
		}
		if err != nil {
			faults.add(file, "%s (quote texts that begin with *, &, %% or @)",
				namedAnchor.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "anchor"))
			return items
		}
		items = append(items, itemsOf(place{file, document.Content[0]}, faults)...)
	}
}

// namedAnchor matches the part of a YAML error that quotes the file. The file may not be a manifest, but contain a
// secret.
var namedAnchor = regexp.MustCompile(`(?s)anchor '.*'`)

// readable returns JSON that YAML can read: without the tabs that JSON may have between values, without surrogate
// pairs, and with escapes for characters that YAML does not have as they are. Half of a pair is in no YAML at all.
func readable(raw []byte) []byte {
	if !json.Valid(raw) {
		return raw
	}
	raw = halves.ReplaceAllFunc(bytes.ReplaceAll(raw, []byte("\t"), []byte(" ")), func(pair []byte) []byte {
		var text string
		_ = json.Unmarshal([]byte(`"`+string(pair)+`"`), &text) // it is a valid string
		return []byte(text)
	})
	return unwritable.ReplaceAllFunc(raw, func(r []byte) []byte {
		c, _ := utf8.DecodeRune(r)
		return fmt.Appendf(nil, `\u%04x`, c)
	})
}

// unwritable are the characters that YAML only has as escapes: controls, and what is no character.
var unwritable = regexp.MustCompile(`[\x7f-\x{84}\x{86}-\x{9f}\x{feff}\x{fffe}\x{ffff}]`)

var halves = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)

// itemsOf returns the items of a document.
func itemsOf(document place, faults *reading) (items []item) {
	if document.node.ShortTag() == "!!null" {
		return nil
	}
	if document.node.Kind != yaml.MappingNode {
		faults.add(document.at(""), "want an object with the members %s", strings.Join(manifestKinds, ", "))
		return nil
	}
	if !describes(document.node) { // the error quotes nothing of it
		faults.add(document.at(""), "it describes nothing: it has none of the members %s",
			strings.Join(manifestKinds, ", "))
		return nil
	}
	for i := 0; i+1 < len(document.node.Content); i += 2 {
		kind, list := document.node.Content[i], document.node.Content[i+1]
		switch {
		case kind.Value == "$schema": // used by editors
		case !slices.Contains(manifestKinds, kind.Value):
			faults.add(place{document.file, kind}.at(""), "there is no %q: want %s", kind.Value,
				strings.Join(manifestKinds, ", "))
		case list.ShortTag() == "!!null":
		case list.Kind != yaml.SequenceNode:
			faults.add(place{document.file, list}.at(""), "%s is a list", kind.Value)
		default:
			for _, node := range list.Content {
				if one, ok := itemOf(kind.Value, place{document.file, node}, faults); ok {
					items = append(items, one)
				}
			}
		}
	}
	return items
}

// describes reports whether a document has a member of a manifest, or no members.
func describes(document *yaml.Node) bool {
	for i := 0; i+1 < len(document.Content); i += 2 {
		if name := document.Content[i].Value; name == "$schema" || slices.Contains(manifestKinds, name) {
			return true
		}
	}
	return len(document.Content) == 0
}

func itemOf(kind string, at place, faults *reading) (i item, ok bool) {
	if faults.tooMuch {
		return i, false // it was reported
	}
	c := converter{reading: faults}
	raw, err := c.convert(at.node)
	if err != nil {
		faults.add(at.file+":"+strconv.Itoa(c.line), "%v", err)
		return i, false
	}
	i = item{Kind: kind, place: at}
	if json.Unmarshal(raw, &i.members) != nil {
		faults.add(at.at(""), "want an object: one of the %s", kind)
		return i, false
	}
	if json.Unmarshal(i.members[called(kind)], &i.Name) != nil || strings.TrimSpace(i.Name) == "" {
		faults.add(at.at(""), "it has no %s, by which it is found again", called(kind))
		return i, false
	}
	return i, true
}

// converter converts YAML to JSON. Numbers keep their digits, and dates stay strings.
type converter struct {
	line         int // of the value that could not be converted
	nodes, depth int
	reading      *reading
}

// maxNodes and maxDepth bound an item, since anchors may multiply it, or nest it in itself.
const (
	maxNodes = 1_000_000
	maxDepth = 1_000
)

func (c *converter) convert(n *yaml.Node) (raw json.RawMessage, err error) {
	c.line = n.Line
	if c.nodes++; c.nodes > maxNodes {
		return nil, errors.New("its anchors multiply to more than is read: use them less often")
	}
	if c.depth++; c.depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep, or an anchor is inside of itself: make it flat",
			maxDepth)
	}
	defer func() { c.depth-- }()
	if raw, err = c.value(n); err == nil {
		err = c.reading.count(len(raw))
	}
	return raw, err
}

// count counts bytes each time that they are copied, and returns an error if they are too many.
func (r *reading) count(bytes int) error {
	if r.bytes += bytes; r.bytes <= r.most {
		return nil
	}
	r.tooMuch = true
	return fmt.Errorf("anchors (*) make the files come to more than %d MiB, and nothing further is read: use an "+
		"anchor of a large value less often, or apply the files one by one", r.most>>20)
}

func (c *converter) value(n *yaml.Node) (json.RawMessage, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return c.convert(n.Alias)
	case yaml.SequenceNode:
		list := make([]json.RawMessage, len(n.Content))
		for i, inner := range n.Content {
			raw, err := c.convert(inner)
			if err != nil {
				return nil, err
			}
			list[i] = raw
		}
		return json.Marshal(list)
	case yaml.MappingNode:
		return c.object(n)
	}
	return c.scalar(n)
}

// object converts a mapping. Members keep their order, and merged members (<<) do not replace the mapping's own.
func (c *converter) object(n *yaml.Node) (json.RawMessage, error) {
	var own ordered
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			continue
		}
		raw, err := c.convert(value)
		if err != nil {
			return nil, err
		}
		if !own.add(key.Value, raw) {
			c.line = key.Line
			return nil, fmt.Errorf("%q is said twice", key.Value)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		merged := []*yaml.Node{n.Content[i+1]}
		if merged[0].Kind == yaml.SequenceNode {
			merged = merged[0].Content
		}
		for _, one := range merged {
			raw, err := c.convert(one)
			if err != nil {
				return nil, err
			}
			if err := own.merge(raw); err != nil {
				c.line = one.Line
				return nil, errors.New("<< merges mappings")
			}
		}
	}
	return own.json(), nil
}

// ordered has the members of an object in their order.
type ordered struct {
	names  []string
	values map[string]json.RawMessage
}

// add adds a member unless the name exists.
func (o *ordered) add(name string, value json.RawMessage) bool {
	if _, there := o.values[name]; there {
		return false
	}
	if o.values == nil {
		o.values = map[string]json.RawMessage{}
	}
	o.names, o.values[name] = append(o.names, name), value
	return true
}

// merge adds the members of an object whose names do not exist yet.
func (o *ordered) merge(object json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("no object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		o.add(fmt.Sprint(name), value)
	}
	return nil
}

func (o *ordered) json() json.RawMessage {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			out.WriteByte(',')
		}
		quoted, _ := json.Marshal(name) // a string always encodes
		out.Write(quoted)
		out.WriteByte(':')
		out.Write(o.values[name])
	}
	out.WriteByte('}')
	return out.Bytes()
}

func (c *converter) scalar(n *yaml.Node) (json.RawMessage, error) {
	switch n.ShortTag() {
	case "!!null":
		return json.RawMessage("null"), nil
	case "!!int", "!!float", "!!bool":
		if json.Valid([]byte(n.Value)) {
			return json.RawMessage(n.Value), nil
		}
		var value any
		err := n.Decode(&value)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s is no number of JSON", n.Value)
		}
		return raw, nil
	}
	return json.Marshal(n.Value)
}

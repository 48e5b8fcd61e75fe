package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/tactus-dev/tactus/internal/access"
)

// docsData is the page /docs, made from the OpenAPI description.
type docsData struct {
	About string
	Rooms []docsRoom
	Types []docsType
}

type (
	docsRoom struct {
		Name, About string
		Operations  []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, About string
		Parameters                       []docsMember
		Body                             docsMember
		Said, Status, Answer             string // the example: the request, and the status and body of its response
	}
	docsType struct {
		Name, About string
		Members     []docsMember
	}
	// docsMember is a parameter or a member of a type. Link names the type of its value, or of the items of its list.
	docsMember struct {
		Name, Kind, Link, About string
		Required                bool
		Choices                 []string
	}
)

// docs serves the description of the API to everybody, because it holds no secret. No limit applies to requests without
// a principal, so the pages are made only once for each language and theme.
func (s *site) docs() {
	read := sync.OnceValues(func() (docsData, error) { return docsOf(s.Description) })
	var strangers madePages
	s.mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		v := s.viewOf(w, r)
		data, err := read()
		if err != nil {
			v.fail(err)
			return
		}
		if access.From(r.Context()).Kind == access.Nobody {
			v.self = "/docs"
			strangers.send(v, "docs", data)
			return
		}
		v.render(http.StatusOK, "docs", data)
	})
}

// madePages caches pages that differ only by language and theme.
type madePages struct {
	mu   sync.Mutex
	made map[[2]string]madePage
}

type madePage struct{ plain, zipped []byte }

func (m *madePages) send(v *view, name string, data any) {
	page, err := m.page(v, name, data)
	switch {
	case err != nil:
		v.unmade(name, err)
	case v.takesGzip():
		v.sendPage(http.StatusOK, page.plain, page.zipped)
	default:
		v.sendPage(http.StatusOK, page.plain, nil)
	}
}

func (m *madePages) page(v *view, name string, data any) (madePage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := [2]string{v.Lang, v.Theme}
	if page, ok := m.made[of]; ok {
		return page, nil
	}
	plain, err := v.execute(http.StatusOK, name, data)
	if err != nil {
		return madePage{}, err
	}
	if m.made == nil {
		m.made = map[[2]string]madePage{}
	}
	m.made[of] = madePage{plain, zip(plain)}
	return m.made[of], nil
}

// described is the part of an OpenAPI 3.1 description that the page shows.
type described struct {
	Info  struct{ Description string }
	Tags  []struct{ Name, Description string }
	Paths map[string]map[string]struct {
		OperationID, Summary, Description string
		Tags                              []string
		Example                           struct{ Request string } `json:"x-example"`
		Parameters                        []struct {
			Name, In, Description string
			Required              bool
			Schema                docsSchema
		}
		RequestBody struct {
			Required bool
			Content  map[string]content
		}
		Responses map[string]struct{ Content map[string]content }
	}
	Components struct{ Schemas map[string]docsSchema }
}

type content struct {
	Schema  docsSchema
	Example json.RawMessage
}

type docsSchema struct {
	Ref                  string `json:"$ref"`
	Description, Format  string
	Type                 any
	Enum                 []any
	Items                *docsSchema
	AllOf, OneOf         []docsSchema
	Properties           map[string]docsSchema
	Required             []string
	AdditionalProperties any
}

func docsOf(description []byte) (docsData, error) {
	var d described
	if err := json.Unmarshal(description, &d); err != nil {
		return docsData{}, fmt.Errorf("read the description of the API: %w", err)
	}
	page := docsData{About: d.Info.Description}
	for _, tag := range d.Tags {
		page.Rooms = append(page.Rooms, docsRoom{tag.Name, tag.Description, d.operations(tag.Name)})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		page.Types = append(page.Types, d.Components.Schemas[name].page(name))
	}
	return page, nil
}

// methods are the HTTP methods, in the order in which a path shows them.
var methods = []string{"get", "post", "put", "patch", "delete"}

// operations returns the operations that have a tag, sorted by path.
func (d described) operations(room string) (all []docsOperation) {
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range methods {
			op, ok := d.Paths[path][method]
			if !ok || !slices.Contains(op.Tags, room) {
				continue
			}
			o := docsOperation{
				ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary, About: op.Description,
			}
			for _, p := range op.Parameters {
				m := p.Schema.member(p.Name, p.Required)
				m.About = p.Description
				if p.In == "header" {
					m.Kind += ", header"
				}
				o.Parameters = append(o.Parameters, m)
			}
			body := op.RequestBody.Content["application/json"]
			if len(op.RequestBody.Content) > 0 {
				o.Body = body.Schema.member("", op.RequestBody.Required)
			}
			o.Said = curl(op.Example.Request, body.Example)
			for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
				if answer := op.Responses[status].Content["application/json"].Example; o.Answer == "" && len(answer) > 0 {
					o.Status, o.Answer = status, indented(answer)
				}
			}
			all = append(all, o)
		}
	}
	return all
}

// curl returns the curl command that sends a request.
func curl(request string, body json.RawMessage) string {
	method, target, _ := strings.Cut(request, " ")
	command := "curl -sS"
	if method != http.MethodGet {
		command += " -X " + method
	}
	command += ` "$TACTUS_URL` + target + `"`
	if len(body) > 0 {
		command += " -d '" + strings.ReplaceAll(indented(body), "'", `'\''`) + "'"
	}
	return command
}

func indented(raw json.RawMessage) string {
	var out bytes.Buffer
	_ = json.Indent(&out, raw, "", "  ") // it has been decoded before, so it is valid
	return out.String()
}

// page returns the page's description of a type.
func (s docsSchema) page(name string) docsType {
	t := docsType{Name: name, About: s.Description}
	for _, one := range s.OneOf {
		if len(one.Properties) > 0 {
			s = one
		}
	}
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		t.Members = append(t.Members, s.Properties[member].member(member, slices.Contains(s.Required, member)))
	}
	return t
}

// member returns the page's description of a member or a parameter.
func (s docsSchema) member(name string, required bool) docsMember {
	m := docsMember{Name: name, Required: required, About: s.Description, Kind: kind(s.Type)}
	if len(s.AllOf) > 0 {
		s.Ref = s.AllOf[0].Ref
	}
	if s.Items != nil {
		s.Ref = s.Items.Ref
		if s.Ref == "" && kind(s.Items.Type) != "" {
			m.Kind += " of " + kind(s.Items.Type)
		}
	}
	m.Link = strings.TrimPrefix(s.Ref, "#/components/schemas/")
	if s.Format == "date-time" {
		m.Kind = strings.Replace(m.Kind, "string", "time (RFC 3339)", 1)
	}
	for _, choice := range s.Enum {
		if choice != nil {
			m.Choices = append(m.Choices, fmt.Sprint(choice))
		}
	}
	return m
}

// kind returns a schema's type in words. It may be a list of types.
func kind(of any) string {
	switch t := of.(type) {
	case string:
		return t
	case []any:
		words := make([]string, len(t))
		for i, one := range t {
			words[i] = fmt.Sprint(one)
		}
		return strings.Join(words, " or ")
	}
	return ""
}

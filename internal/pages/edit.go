package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// editData is the form of a schedule: what was typed, the faults in it, and a preview of what it would do.
type editData struct {
	Title    string
	Action   string // the address that the form is posted to
	Back     string
	Groups   []group
	Triggers []choice
	Values   url.Values
	Faults   map[string][]string // by the name of the field
	Others   domain.Faults       // those that belong to no field of the form
	Version  int64
	ID       string
	Zones    []string
	Key      string // idempotency key: posting the form twice creates one schedule
	Preview  *previewData
	Conflict []diff // what was typed differs from what somebody else has stored meanwhile
	Fields   string // CSS selectors of the places for faults, which htmx replaces
	Presets  []domain.Preset
	Default  string // the time zone of new schedules
	Why      string

	Calendars []string // names for the suggestions
	lang      string
}

// previewData tells what a definition would do.
type previewData struct {
	Words    string
	Due      []dueLine
	Warnings []domain.Warning
}

const previewed = 10

func (s *site) edit() {
	s.getAs(mayWrite, "/schedules/new", func(v *view) (string, any, error) {
		d := v.newForm()
		d.Values.Set("enabled", "on")
		if id, err := domain.ParseID(v.r.URL.Query().Get("like")); err == nil {
			like, err := v.Catalog.Get(v.ctx(), id)
			if err != nil {
				return "", nil, err
			}
			d.Values = formOf(like.Definition)
			d.Values.Set("name", "")
		}
		v.look(&d, domain.Definition{}, true)
		return "edit", d, nil
	})
	s.getAs(mayWrite, "/schedules/{id}/edit", func(v *view) (string, any, error) {
		entry, err := v.entry()
		if err != nil {
			return "", nil, err
		}
		if entry.ManagedBy != "" {
			return "", nil, &domain.Error{Kind: domain.Conflict, Code: "managed_elsewhere", Message: v.T("It was adopted from %s, and is changed there alone.", entry.ManagedBy)}
		}
		d := v.editForm(entry)
		d.Values = formOf(entry.Definition)
		v.look(&d, entry.Definition, true)
		return "edit", d, nil
	})
	s.post("/schedules/new", s.create)
	s.post("/schedules/{id}/edit", s.save)
	s.postAs(mayRead, "/preview", s.preview)
}

func (v *view) entry() (catalog.Entry, error) {
	id, err := v.id()
	if err != nil {
		return catalog.Entry{}, err
	}
	return v.Catalog.Get(v.ctx(), id)
}

func (v *view) form() editData {
	d := editData{Groups: groups, Values: url.Values{}, Zones: zoneNames, Presets: domain.Presets, Default: v.Timezone, lang: v.Lang}
	places := []string{"#err-others"}
	for _, i := range inputs() {
		places = append(places, "#err-"+i.Name)
	}
	d.Fields = strings.Join(places, ",")
	return d
}

func (v *view) newForm() editData {
	d := v.form()
	d.Title, d.Action, d.Back = v.T("New schedule"), "/schedules/new", "/schedules"
	d.Key = newKey()
	return d
}

func (v *view) editForm(e catalog.Entry) editData {
	d := v.form()
	self := "/schedules/" + e.ID.String()
	d.Title, d.Action, d.Back, d.ID, d.Version = v.T("Edit %s", e.Name), self+"/edit", self, e.ID.String(), e.Version
	return d
}

// look fills in the preview and, unless the form is untouched, the faults.
func (v *view) look(d *editData, stored domain.Definition, untouched bool) {
	d.Calendars, _ = v.calendarNames() // if they cannot be read, the user types them
	for _, t := range triggerFields {
		d.Triggers = append(d.Triggers, choice{t.Kind, v.T(t.Label), t.Kind == d.when()})
	}
	raw, faults := overlay(stored, d.Values)
	definition, err := domain.Decode(raw)
	sets, _ := v.Store.Sets(v.ctx(), definition) // an unknown calendar is refused when the form is saved
	preview, previewErr := definition.Preview(domain.Ask{After: v.Now, N: previewed, Language: v.Lang, Sets: sets}, v.Timezone)
	if previewErr == nil && err == nil {
		zoneName := definition.Timezone
		if zoneName == "" {
			zoneName = v.Timezone
		}
		d.Preview = &previewData{preview.Description, v.dueLines(preview, zoneName), preview.Warnings}
	}
	if !untouched {
		v.blame(d, domain.Join(asError(faults), domain.Join(err, previewErr)))
	}
}

func (d editData) when() string {
	if when := d.Values.Get("when"); when != "" {
		return when
	}
	return "cron"
}

// triggerField is the field of the chosen kind of trigger.
func (d editData) triggerField() string {
	for _, t := range triggerFields {
		if t.Kind == d.when() {
			return t.Member
		}
	}
	return triggerFields[0].Member
}

func asError(f domain.Faults) error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// blame puts each fault beside its field.
func (v *view) blame(d *editData, err error) {
	d.Faults, d.Others = map[string][]string{}, nil
	for _, fault := range domain.FaultsOf(err) {
		name, _, _ := strings.Cut(strings.TrimPrefix(fault.Field, "/"), "/")
		if fault.Code == "trigger_missing" { // it names members, but the form has one field for the chosen kind
			said := *fault
			fault, name = &said, d.triggerField()
			fault.Message = v.T("say when: fill this in, or choose another way")
		}
		known := false
		for _, i := range inputs() {
			known = known || i.Name == name
		}
		if !known {
			d.Others = append(d.Others, fault)
			continue
		}
		d.Faults[name] = append(d.Faults[name], fault.Message)
	}
}

// preview responds with what the typed definition would do. Without JavaScript the response is the whole form again.
func (s *site) preview(v *view) error {
	d, stored, err := v.typed()
	if err != nil {
		return err
	}
	v.look(&d, stored, false)
	v.render(http.StatusOK, "edit", d)
	return nil
}

// typed returns the form as it was posted, and the stored definition that it edits.
func (v *view) typed() (d editData, stored domain.Definition, err error) {
	d = v.newForm()
	if id, err := domain.ParseID(v.r.PostFormValue("id")); err == nil {
		entry, err := v.Catalog.Get(v.ctx(), id)
		if err != nil {
			return d, stored, err
		}
		d, stored = v.editForm(entry), entry.Definition
	}
	if version := v.version(); version > 0 {
		d.Version = version
	}
	if key := v.r.PostFormValue("key"); key != "" {
		d.Key = key
	}
	d.Values, d.Why = v.r.PostForm, v.r.PostFormValue("why")
	return d, stored, nil
}

// definition decodes what was typed and returns all of its faults at once.
func (v *view) definition(stored domain.Definition, typed url.Values) (domain.Definition, []byte, error) {
	raw, faults := overlay(stored, typed)
	d, err := domain.Decode(raw)
	if err = domain.Join(asError(faults), err); err != nil {
		_, _, more := d.Normalize(domain.Context{
			Timezone: v.Timezone, Now: v.Now, Check: v.Check, Kept: &stored,
		})
		err = domain.Join(err, more)
	}
	return d, raw, err
}

func (s *site) create(v *view) error {
	definition, raw, err := v.definition(domain.Definition{}, v.r.PostForm)
	var made domain.Schedule
	if err == nil {
		made, err = v.Store.Create(v.because(v.r.PostFormValue("why")), definition, v.r.PostFormValue("key"), raw)
	}
	if err != nil {
		return v.again(err)
	}
	return v.redirect("/schedules/" + made.ID.String() + "?did=created")
}

func (s *site) save(v *view) error {
	entry, err := v.entry()
	if err != nil {
		return err
	}
	definition, _, err := v.definition(entry.Definition, v.r.PostForm)
	if err == nil {
		_, err = v.Store.Redefine(v.because(v.r.PostFormValue("why")), entry.ID, v.version(), definition)
	}
	if err != nil {
		v.r.PostForm.Set("id", entry.ID.String())
		return v.again(err)
	}
	return v.redirect("/schedules/" + entry.ID.String() + "?did=saved")
}

// again shows the form with its faults. If somebody else has changed the schedule meanwhile, it shows how the two
// differ, and the next attempt replaces the newer version.
func (v *view) again(err error) error {
	faults := domain.FaultsOf(err)
	if faults == nil || faults[0].Kind == domain.NotFound || faults[0].Kind == domain.Forbidden {
		return err
	}
	d, stored, failed := v.typed()
	if failed != nil {
		return failed
	}
	v.look(&d, stored, true)
	v.blame(&d, err)
	if errors.Is(err, domain.ErrVersionConflict) {
		d.Others = nil
		now, _ := json.Marshal(stored) // it was decoded from JSON
		typed, _ := overlay(stored, d.Values)
		d.Conflict = diffs(members(now), members(typed))
		if entry, err := v.entry(); err == nil {
			d.Version = entry.Version
		}
	}
	v.render(statuses[faults[0].Kind], "edit", d)
	return nil
}

// Value returns the text of a field.
func (d editData) Value(name string) string { return strings.Join(d.Values[name], ", ") }

// usual maps the members that every stored definition has to their defaults.
var usual = map[string]string{
	"dst_gap": "auto", "dst_overlap": "auto", "execution_policy": "allow", "misfire_policy": "latest", "misfire_window_seconds": "86400",
	"misfire_grace_seconds": "60", "on_excluded": "skip",
}

// Filled reports whether a field of a group has a fault, or a value other than the default.
func (d editData) Filled(g group) bool {
	for _, i := range g.Inputs {
		if value := d.Value(i.Name); value != "" && value != usual[i.Name] || len(d.Faults[i.Name]) > 0 {
			return true
		}
	}
	return false
}

// Rows returns how many lines a text area shows.
func (d editData) Rows(name string) string {
	return strconv.Itoa(min(max(2, strings.Count(d.Values.Get(name), "\n")+1), 16))
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// show prints an answer of the API as JSON or as a table.
func (c clientFlags) show(to io.Writer, answer []byte) error {
	if len(answer) == 0 {
		return nil
	}
	switch c.Output {
	case "yaml":
		text, err := yamlOf(json.RawMessage(answer))
		if err == nil {
			_, err = to.Write(text)
		}
		return err
	case "json":
		var out bytes.Buffer
		if err := json.Indent(&out, bytes.TrimSpace(answer), "", "  "); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		say(to, "%s\n", ours(out.String()))
		return nil
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber() // arguments may have numbers that no float64 holds, such as 1e400
	if err := decoder.Decode(&members); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if c.Output == "name" {
		names(to, members)
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	switch {
	case members["schedules"] != nil:
		columns(table, members["schedules"], c.wider([]string{
			"id", "name", "state", "trigger", "timezone", "next_run_at", "last_run_at", "last_status",
			"runtime", "halted", "invalid_reason",
		}, "last_error", "success_rate", "task_name", "queue", "tags", "owner", "version")...)
	case members["history"] != nil:
		columns(table, members["history"], "due_at", "executed_at", "status", "kind", "task_id", "reason", "error")
	case members["runs"] != nil:
		columns(table, members["runs"], c.wider([]string{
			"due_at", "status", "schedule_name", "task_name", "runtime", "id", "error",
		}, "kind", "queue", "worker", "lateness_seconds", "started_at", "finished_at")...)
	case members["outcomes"] != nil:
		columns(table, members["outcomes"], "id", "name", "outcome", "version", "run_id", "error")
	case members["run_outcomes"] != nil:
		columns(table, members["run_outcomes"], "id", "outcome", "run_id", "error")
	case members["events"] != nil:
		changes(table, members["events"])
	case members["keys"] != nil:
		columns(table, members["keys"], "id", "name", "role", "scope", "state", "expires_at", "last_used_at")
	case members["routes"] != nil:
		columns(table, members["routes"], "pattern", "queue", "exchange", "routing_key", "priority", "expires_seconds",
			"time_limit_seconds", "soft_time_limit_seconds", "ignore_result", "source")
	case members["calendars"] != nil:
		columns(table, members["calendars"], c.wider([]string{"name", "version", "size", "updated_at", "description"},
			"source")...)
	case members["notification_rules"] != nil:
		columns(table, members["notification_rules"], c.wider([]string{
			"name", "enabled", "on", "names", "tags", "tasks", "to", "url", "description",
		}, "source")...)
	case members["backfills"] != nil:
		columns(table, members["backfills"], "id", "state", "from", "to", "total", "fired", "remaining", "left_out", "actor", "reason")
	case members["due_times"] != nil:
		for _, due := range members["due_times"].([]any) {
			say(table, "%s\n", due)
		}
	default:
		for _, name := range slices.Sorted(maps.Keys(members)) {
			say(table, "%s\t%s\n", name, text(members[name]))
		}
	}
	return table.Flush()
}

// tabular reports whether answers are printed as tables.
func (c clientFlags) tabular() bool { return c.Output == "table" || c.Output == "wide" }

// wider returns columns, and more of them for the output wide.
func (c clientFlags) wider(columns []string, more ...string) []string {
	if c.Output == "wide" {
		return append(columns, more...)
	}
	return columns
}

// lists are the members of answers that hold lists of named objects.
var lists = []string{"schedules", "runs", "history", "outcomes", "run_outcomes", "keys", "routes", "calendars", "notification_rules", "events", "upcoming"}

// names prints the name of each object on a line, or its id if it has no name.
func names(to io.Writer, members map[string]any) {
	things := []any{members}
	for _, list := range lists {
		if found, ok := members[list].([]any); ok {
			things = found
		}
	}
	for _, thing := range things {
		of, _ := thing.(map[string]any)
		for _, member := range []string{"name", "pattern", "id", "run_id", "task_id", "version"} {
			if of[member] != nil {
				say(to, "%s\n", text(of[member]))
				break
			}
		}
	}
}

// columns prints a list of objects as a table, one object per line.
func columns(to io.Writer, rows any, names ...string) {
	say(to, "%s\n", ours(strings.ToUpper(strings.Join(names, "\t"))))
	list, _ := rows.([]any)
	for _, row := range list {
		members, _ := row.(map[string]any)
		cells := make([]string, len(names))
		for i, name := range names {
			cells[i] = text(members[name])
			switch name {
			case "trigger":
				cells[i] = trigger(members)
			case "halted":
				cells[i] = halted(members)
			case "runtime":
				cells[i] = tookOf(members)
			default:
				if strings.HasSuffix(name, "_at") {
					cells[i] = here(cells[i])
				}
				if slices.Contains(toldApart, name) {
					cells[i] += relative(cells[i], time.Now())
				}
			}
		}
		say(to, "%s\n", ours(strings.Join(cells, "\t")))
	}
}

// toldApart are the times behind which stands how far away they are.
var toldApart = []string{"next_run_at", "last_run_at", "due_at", "expires_at", "last_used_at"}

// here returns a time in the zone of whoever reads the table, in which all of its times are, and in seconds.
func here(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return at.Local().Format(time.RFC3339)
}

// tookOf returns how long a run took, or the last one of a schedule.
func tookOf(members map[string]any) string {
	for _, name := range []string{"runtime_seconds", "last_runtime_seconds"} {
		if took, ok := members[name].(json.Number); ok {
			if seconds, err := took.Float64(); err == nil {
				return lasted(time.Duration(seconds * float64(time.Second)))
			}
		}
	}
	return "-"
}

// lasted is a time with about three digits.
func lasted(took time.Duration) string {
	switch {
	case took >= time.Minute:
		return took.Round(time.Second).String()
	case took >= time.Second:
		return took.Round(10 * time.Millisecond).String()
	}
	return took.Round(time.Millisecond).String()
}

// relative returns, for a time, its distance from now in the largest unit. For other texts it returns an empty text.
func relative(text string, now time.Time) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	away, form := at.Sub(now), " (in %s)"
	if away < 0 {
		away, form = -away, " (%s ago)"
	}
	away = away.Round(time.Second)
	const day = 24 * time.Hour
	switch {
	case away >= 2*day:
		return fmt.Sprintf(form, fmt.Sprintf("%dd", away/day))
	case away >= 2*time.Hour:
		return fmt.Sprintf(form, fmt.Sprintf("%dh", away/time.Hour))
	case away >= 2*time.Minute:
		return fmt.Sprintf(form, fmt.Sprintf("%dm", away/time.Minute))
	}
	return fmt.Sprintf(form, fmt.Sprintf("%ds", away/time.Second))
}

func trigger(schedule map[string]any) string {
	if every, ok := schedule["interval_seconds"]; ok {
		return "every " + text(every) + " s"
	}
	if at, ok := schedule["run_at"]; ok {
		return "at " + text(at)
	}
	if rule, ok := schedule["rrule"]; ok {
		return text(rule)
	}
	return text(schedule["cron_expression"])
}

// halted returns who keeps a schedule from firing, since when, until when and why.
func halted(schedule map[string]any) string {
	words := "paused"
	names := []string{"since ", "paused_at", "until ", "paused_until", "by ", "paused_by", "for ", "pause_reason"}
	if schedule["state"] != domain.Paused {
		words, names = "skips", []string{"until ", "skip_until", "by ", "skipped_by", "for ", "skip_reason"}
		if schedule["skip_until"] == nil {
			return "-"
		}
	}
	for i := 0; i < len(names); i += 2 {
		if value := schedule[names[i+1]]; value != nil {
			words += " " + names[i] + text(value)
		}
	}
	return words
}

// text returns a value on one line, fit for one cell of a table.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return cell.Replace(v)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

// cell replaces the characters that would begin another cell or line.
var cell = strings.NewReplacer("\n", " ", "\t", " ", "\v", " ", "\f", " ")

// printJSON prints a value as indented JSON.
func printJSON(to io.Writer, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	say(to, "%s\n", ours(raw))
	return nil
}

// changes prints the history of a schedule, each member that changed on a line of its own.
func changes(to io.Writer, events any) {
	fmt.Fprintln(to, "VERSION\tAT\tTYPE\tACTOR\tMEMBER\tBEFORE\tAFTER\tREASON")
	list, _ := events.([]any)
	for _, event := range list {
		e, _ := event.(map[string]any)
		row := func(member, before, after string) {
			say(to, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", text(e["version"]), text(e["at"]), text(e["type"]),
				text(e["actor"]), member, before, after, text(e["reason"]))
		}
		changed, _ := e["changes"].([]any)
		for _, change := range changed {
			c, _ := change.(map[string]any)
			row(text(c["member"]), text(c["before"]), text(c["after"]))
		}
		if len(changed) == 0 {
			row("-", "-", "-")
		}
	}
}

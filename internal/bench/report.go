package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"
)

// Report holds all figures, and describes the machine.
type Report struct {
	Machine Machine  `json:"machine"`
	Figures []Figure `json:"figures"`
	Took    string   `json:"took"`
}

// Machine describes what the figures depend on.
type Machine struct {
	CPUs     int    `json:"cpus"`
	Go       string `json:"go"`
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
	Fsync    string `json:"fsync"`
	Load     string `json:"load,omitempty"` // of the last 1, 5 and 15 minutes before the run, if the system reports it
	Quick    bool   `json:"quick"`
}

func (l *Lab) machine(ctx context.Context) (Machine, error) {
	m := Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Quick: l.cfg.Quick}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	conn, err := pgx.Connect(ctx, l.cfg.DatabaseURL)
	if err != nil {
		return m, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "select current_setting('server_version'), current_setting('fsync')").Scan(&m.Postgres, &m.Fsync); err != nil {
		return m, fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	info, err := l.client.Info(ctx, "server").Result()
	if err != nil {
		return m, fmt.Errorf("ask Redis for its version: %w", err)
	}
	_, rest, _ := strings.Cut(info, "redis_version:")
	m.Redis, _, _ = strings.Cut(rest, "\r\n")
	return m, nil
}

// WriteJSON writes the report as one JSON document.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteTable writes a table with one line for each figure.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SECTION\tFIGURE\tVALUE\tGOAL\t\tROUNDS\tOURS\tPEER\tNOTE")
	for _, f := range r.Figures {
		fmt.Fprintln(t, strings.Join(f.cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	m := r.Machine
	fmt.Fprintf(w, "\n%d CPUs, %s, PostgreSQL %s (fsync %s), Redis %s", m.CPUs, m.Go, m.Postgres, m.Fsync, m.Redis)
	if m.Load != "" {
		fmt.Fprintf(w, ", load before %s", m.Load)
	}
	fmt.Fprintf(w, "; took %s\n", r.Took)
	if m.Quick {
		fmt.Fprintln(w, "quick: one small round, which only shows that the benchmark works")
	}
	return nil
}

func (f Figure) cells() []string {
	verdict := ""
	if f.Goal.String() != "" {
		verdict = "MISSED"
		if f.Goal.Met(f.Value) {
			verdict = "met"
		}
	}
	note := f.Note
	if f.Noisy {
		note = strings.TrimSpace("noisy " + note)
	}
	ours, peer := "", ""
	if f.Peer != 0 {
		ours, peer = number(f.Ours)+"/s", number(f.Peer)+"/s"
	}
	lowest, highest := slices.Min(f.Rounds), slices.Max(f.Rounds)
	return []string{
		f.Section, f.Name, number(f.Value) + " " + string(f.Unit), f.Goal.String(), verdict, number(lowest) + "-" + number(highest), ours, peer, note,
	}
}

// number formats a value with three significant digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	if v >= 1 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

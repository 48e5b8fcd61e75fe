package pages

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// mayReadAll is the permit for reading what concerns the whole installation.
var mayReadAll = access.Permit{Role: access.Read}

// systemData answers: does every part keep up, and what must I do?
type systemData struct {
	Leases     []leaseLine
	Sinks      []sinkLine
	Partitions []partitionLine
	Processes  []processLine
	Remarks    []remark // what tactus doctor says of the database
	Past       dayChart
}

type leaseLine struct {
	catalog.Lease
	Held    bool
	Expires Moment
	Settled *Moment
	Lag     string
}

type sinkLine struct {
	catalog.Sink
	Cut  *Moment
	Lags int64 // batches that are not confirmed
}

type processLine struct {
	catalog.Process
	At Moment
}

// remark is a finding of tactus doctor.
type remark struct{ Class, Mark, Says string }

// Doctor examines the database as tactus doctor does. Each line begins with two characters: "! " where something must
// be done, "? " where it may be as intended, and spaces where all is well.
type Doctor func(ctx context.Context) []string

func remarksOf(lines []string) (all []remark) {
	for _, line := range lines {
		switch mark, said, _ := strings.Cut(line, " "); mark {
		case "!":
			all = append(all, remark{"trouble", "✕", said})
		case "?":
			all = append(all, remark{"attention", "!", said})
		}
	}
	return all
}

type partitionLine struct {
	catalog.Partition
	Size, About string
}

func (s *site) system() {
	s.getAs(mayReadAll, "/system", func(v *view) (string, any, error) {
		health := v.Health()
		if !health.Known {
			return "system", systemData{}, nil // the parts on the page show the error
		}
		var d systemData
		for _, l := range health.At.Leases {
			line := leaseLine{Lease: l, Held: l.Holder != "" && l.ExpiresAt.After(health.At.Now), Expires: v.at(l.ExpiresAt, ""), Settled: v.maybeAt(l.Watermark, "")}
			if l.Watermark != nil {
				line.Lag = took(v.Lang, health.At.Now.Sub(*l.Watermark))
			}
			d.Leases = append(d.Leases, line)
		}
		for _, sink := range health.At.Sinks {
			d.Sinks = append(d.Sinks, sinkLine{sink, v.maybeAt(sink.CutAt, ""), max(0, sink.Batch-sink.Confirmed)})
		}
		partitions, err := v.Catalog.Partitions(v.ctx())
		if err != nil {
			return "", nil, err
		}
		for _, p := range partitions {
			line := partitionLine{p, size(p.Bytes), "–"}
			line.Bounds = boundsSaid(p.Bounds)
			if p.Rows >= 0 {
				line.About = count(p.Rows)
			}
			d.Partitions = append(d.Partitions, line)
		}
		processes, err := v.Catalog.Processes(v.ctx())
		if err != nil {
			return "", nil, err
		}
		for _, p := range processes {
			d.Processes = append(d.Processes, processLine{p, v.at(p.Seen, "")})
		}
		if v.Doctor != nil {
			d.Remarks = remarksOf(v.Doctor(v.ctx()))
		}
		d.Past = v.lastDay()
		return "system", d, nil
	})
}

var bounds = regexp.MustCompile(`^FOR VALUES FROM \('([^']*)'\) TO \('([^']*)'\)$`)

// boundsSaid formats the range of positions that a partition holds.
func boundsSaid(sql string) string {
	found := bounds.FindStringSubmatch(sql)
	if found == nil {
		return sql
	}
	for i, bound := range found[1:] {
		if n, err := strconv.ParseInt(bound, 10, 64); err == nil {
			bound = count(n)
		}
		found[i+1] = strings.TrimSuffix(bound, " 00:00:00+00")
	}
	return found[1] + " – " + found[2]
}

// size formats a number of bytes in a readable unit.
func size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, i := float64(bytes), 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	if i == 0 || n >= 10 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

package pages

import (
	"fmt"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// mayReadAll is demanded by what concerns the whole installation.
var mayReadAll = access.Permit{Role: access.Read}

// systemData answers: does every part keep up, and what must I do?
type systemData struct {
	Leases     []leaseLine
	Sinks      []sinkLine
	Partitions []partitionLine
	Asides     []asideLine
	Older      string
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

type partitionLine struct {
	catalog.Partition
	Size, About string
}

type asideLine struct {
	catalog.Aside
	When Moment
	Size string
}

func (s *site) system() {
	s.getAs(mayReadAll, "/system", func(v *view) (string, any, error) {
		health := v.Health()
		if !health.Known {
			return "system", systemData{}, nil // the parts say so
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
			line := partitionLine{p, size(p.Bytes), "?"}
			if p.Rows >= 0 {
				line.About = count(p.Rows)
			}
			d.Partitions = append(d.Partitions, line)
		}
		if d.Asides, err = v.asides(0, 20); err != nil {
			return "", nil, err
		}
		return "system", d, nil
	})
}

func (v *view) asides(before int64, limit int) (lines []asideLine, err error) {
	all, err := v.Catalog.Asides(v.ctx(), before, limit)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		lines = append(lines, asideLine{a, v.at(a.CreatedAt, ""), size(a.Bytes)})
	}
	return lines, nil
}

// size tells bytes in the unit that people use.
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

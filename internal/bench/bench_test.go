package bench_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/bench"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestSections runs every section in quick mode, to show that it works.
func TestSections(t *testing.T) {
	t.Parallel()
	for _, section := range bench.Sections() {
		t.Run(section.Name, func(t *testing.T) {
			t.Parallel()
			cfg := bench.Config{DatabaseURL: testenv.DirectURL(t), RedisURL: testenv.RedisURL(t), Quick: true, Say: func(text string) { t.Log(text) }}
			report, err := bench.Run(t.Context(), cfg, []bench.Section{section})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Figures) == 0 || report.Machine.Postgres == "" || report.Machine.Redis == "" {
				t.Errorf("%+v", report)
			}
			for _, f := range report.Figures {
				if f.Section != section.Name || f.Name == "" || len(f.Rounds) != 1 || f.Value <= 0 && f.Unit != bench.Percent {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []bench.Section{{Name: "a"}, {Name: "b"}}
	if chosen, err := bench.Choose(all, nil); err != nil || len(chosen) != 2 {
		t.Errorf("no section named: %v, %v", chosen, err)
	}
	if chosen, err := bench.Choose(all, []string{"b"}); err != nil || len(chosen) != 1 || chosen[0].Name != "b" {
		t.Errorf("b: %v, %v", chosen, err)
	}
	if _, err := bench.Choose(all, []string{"c"}); err == nil || !strings.Contains(err.Error(), `no section "c": want some of a, b`) {
		t.Errorf("c: %v", err)
	}
}

// TestRefusesARedisInUse checks that the bench does not empty a Redis database with keys.
func TestRefusesARedisInUse(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	client := testenv.Client(t, url)
	if err := client.Set(t.Context(), "of somebody", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := bench.Run(t.Context(), bench.Config{DatabaseURL: testenv.DirectURL(t), RedisURL: url}, nil)
	if err == nil || !strings.Contains(err.Error(), "has 1 keys") {
		t.Errorf("%v", err)
	}
	if n := client.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("%d keys are left", n)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	ratio := bench.NewFigure("rate", bench.Ratio, bench.AtLeast(0.75), []float64{0.9, 0.5, 0.8, 0.7, 0.6})
	ratio.Section, ratio.Ours, ratio.Peer = "writes", 700, 1000
	size := bench.NewFigure("size", bench.Bytes, bench.AtMost(100), []float64{88, 90, 89})
	size.Section = "beat"
	r := bench.Report{Machine: bench.Machine{CPUs: 2, Go: "go", Postgres: "15", Redis: "7", Fsync: "on"}, Figures: []bench.Figure{ratio, size}, Took: "1s"}
	var table, document bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&document); err != nil {
		t.Fatal(err)
	}
	const want = `SECTION  FIGURE  VALUE    GOAL             ROUNDS       OURS   PEER    NOTE
writes   rate    0.700 x  >= 0.75  MISSED  0.500-0.900  700/s  1000/s  noisy
beat     size    89.0 B   <= 100   met     88.0-90.0                   

2 CPUs, go, PostgreSQL 15 (fsync on), Redis 7; took 1s
`
	if table.String() != want {
		t.Errorf("the table:\n%s\nwant:\n%s", table.String(), want)
	}
	var again struct {
		Figures []struct {
			Name, Goal, Unit string
			Value            float64
			Noisy            bool
		}
	}
	if err := json.Unmarshal(document.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if f := again.Figures[0]; f.Goal != ">= 0.75" || f.Value != 0.7 || !f.Noisy || f.Unit != "x" {
		t.Errorf("%s", document.String())
	}
}

package pages_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

var update = flag.Bool("update", false, "write the screenshots of the documentation")

// shown are the schedules of the screenshots, each with its number of runs, and which of them failed.
var shown = []struct {
	definition string
	runs       int
	fails      func(n int) bool // whether the nth newest run failed
}{
	{`{"name":"daily-report","cron_expression":"30 9 * * mon-fri","timezone":"Asia/Tokyo","task_name":"app.answer","tags":["reports"],"kwargs":{"to":"sales"},"description":"Sales of the day before, by mail."}`, 40, func(n int) bool { return n == 6 }},
	{`{"name":"close-books","cron_expression":"0 18 28 * *","timezone":"Europe/Berlin","task_name":"app.answer","tags":["finance"]}`, 12, func(n int) bool { return n == 0 || n == 5 }},
	{`{"name":"refresh-prices","cron_expression":"*/15 * * * *","task_name":"app.answer","tags":["shop"]}`, 94, func(n int) bool { return n == 9 || n == 10 || n == 30 }},
	{`{"name":"nightly-backup","cron_expression":"30 2 * * *","timezone":"America/New_York","task_name":"app.answer","tags":["ops"]}`, 30, func(int) bool { return false }},
	{`{"name":"send-invoices","cron_expression":"0 8 1 * *","timezone":"Asia/Tokyo","task_name":"app.answer","tags":["finance"]}`, 12, func(int) bool { return false }},
	{`{"name":"crm-sync","cron_expression":"0 * * * *","task_name":"app.answer","tags":["crm"]}`, 30, func(n int) bool { return n < 2 }},
}

const pastRun = `
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, sent_at, started_at, finished_at, worker, error)
select gen_random_uuid(), $1, $2::timestamptz, 'scheduled', case when $4 then 'failed' else 'succeeded' end, 1, sent, sent, sent + interval '3 ms',
    sent + $3::float8 * interval '1 second', 'celery@a', case when $4 then 'ConnectionError: the vendor refused the connection' end
from (select $2::timestamptz + interval '12 ms' as sent) s`

// hadRuns gives a schedule runs at its last due times, and an earlier time of creation.
func hadRuns(t *testing.T, pool *pgxpool.Pool, id, definition string, runs int, fails func(int) bool) {
	t.Helper()
	var d domain.Definition
	if err := json.Unmarshal([]byte(definition), &d); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var due []time.Time
	for back := 24 * time.Hour; len(due) < runs; back *= 2 {
		preview, err := d.Preview(domain.Ask{After: now.Add(-back), N: 1_000}, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		due = preview.DueTimes
		for len(due) > 0 && due[len(due)-1].After(now) {
			due = due[:len(due)-1]
		}
	}
	due = due[len(due)-runs:]
	for i, at := range due {
		n := len(due) - 1 - i
		if _, err := pool.Exec(t.Context(), pastRun, id, at, 0.6+float64((i*7919)%23)/20, fails(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`update tactus.schedules set created_at = $2 where id = $1`, `update tactus.outbox set occurred_at = $2 where topic = 'schedule' and aggregate_id = $1`,
	} {
		if _, err := pool.Exec(t.Context(), sql, id, due[0].Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

// isShown takes the screenshots of the documentation; -update writes them.
func (s *stack) isShown(t *testing.T) {
	pool := testenv.Connect(t, strings.TrimPrefix(s.env[0], "DATABASE_URL="))
	var ids []string
	for _, made := range shown {
		id := s.api(t, "POST", "/schedules", made.definition)["id"].(string)
		hadRuns(t, pool, id, made.definition, made.runs, made.fails)
		ids = append(ids, id)
	}
	for n := range 14 {
		definition := fmt.Sprintf(`{"name":"shop-import-%d","cron_expression":"0 0 * * *","task_name":"app.answer","tags":["shop"]}`, n+1)
		hadRuns(t, pool, s.api(t, "POST", "/schedules", definition)["id"].(string), definition, 30, func(int) bool { return false })
	}
	s.api(t, "POST", "/schedules/"+ids[5]+"/disable", `{"reason":"the other side is moving"}`)
	folder := t.TempDir()
	if *update {
		folder = "../../docs/images"
	}
	b := s.tab(t)
	b.do(chromedp.EmulateViewport(1100, 620))
	for _, scheme := range []string{"light", "dark"} {
		b.do(inScheme(scheme))
		for name, path := range map[string]string{"overview": "/", "schedules": "/schedules?order=name", "schedule": "/schedules/" + ids[0]} {
			b.do(chromedp.Navigate(s.url + path))
			b.await("the whole page", `document.readyState === "complete" && !document.querySelector("main").innerText.includes("Being counted")
				&& (document.querySelector("#chart") === null || document.querySelector("#chart canvas") !== null)`)
			taken, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			small := paletted(t, taken)
			if len(small) > 90<<10 {
				t.Errorf("%s: %d bytes", name, len(small))
			}
			if err := os.WriteFile(filepath.Join(folder, name+"-"+scheme+".png"), small, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// paletted reduces an image to 256 colours: it keeps as many bits of each colour as that allows.
func paletted(t *testing.T, taken []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(taken))
	if err != nil {
		t.Fatal(err)
	}
	for bits := range 8 {
		if small := withColors(whole, uint8(0xff<<bits)); small != nil {
			var out bytes.Buffer
			if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
	}
	t.Fatal("an image of more than 256 colours") // unreachable
	return nil
}

// withColors returns an image with the colours that a mask distinguishes, each as it appears first; nil if there are
// too many.
func withColors(whole image.Image, mask uint8) *image.Paletted {
	small := image.NewPaletted(whole.Bounds(), nil)
	places := map[color.RGBA]uint8{}
	for y := small.Rect.Min.Y; y < small.Rect.Max.Y; y++ {
		for x := small.Rect.Min.X; x < small.Rect.Max.X; x++ {
			c := color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA)
			key := color.RGBA{c.R & mask, c.G & mask, c.B & mask, 0xff}
			place, known := places[key]
			if !known {
				if len(small.Palette) == 256 {
					return nil
				}
				place = uint8(len(small.Palette))
				places[key], small.Palette = place, append(small.Palette, c)
			}
			small.SetColorIndex(x, y, place)
		}
	}
	return small
}

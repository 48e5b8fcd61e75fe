package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// TestTimesAreReadInYears reads times that Go or JSON does not have, in both formats in which PostgreSQL sends them.
func TestTimesAreReadInYears(t *testing.T) {
	m := pgtype.NewMap()
	registerTimes(m)
	binary := func(micros uint64) string {
		b := make([]byte, 8)
		for i := range b {
			b[i] = byte(micros >> (56 - 8*i))
		}
		return string(b)
	}
	const text, bin = pgtype.TextFormatCode, pgtype.BinaryFormatCode
	for _, c := range []struct {
		format int16
		src    string
		want   string
	}{
		{text, "infinity", "9999-12-31T23:59:59.999999Z"},
		{text, "-infinity", "0001-01-01T00:00:00Z"},
		{text, "200000-01-01 00:00:00+00", "9999-12-31T23:59:59.999999Z"},
		{text, "10000-01-01 00:00:00+00", "9999-12-31T23:59:59.999999Z"},
		{text, "4713-01-01 00:00:00+00 BC", "0001-01-01T00:00:00Z"},
		{text, "9999-12-31 23:59:59.999999+00", "9999-12-31T23:59:59.999999Z"},
		{text, "2026-11-29 12:00:00.5+00", "2026-11-29T12:00:00.5Z"},
		{bin, binary(1<<63 - 1), "9999-12-31T23:59:59.999999Z"},
		{bin, binary(1 << 63), "0001-01-01T00:00:00Z"},
		{bin, binary(6e18), "9999-12-31T23:59:59.999999Z"},
		{bin, binary(0), "2000-01-01T00:00:00Z"},
	} {
		var at time.Time
		if err := m.Scan(pgtype.TimestamptzOID, c.format, []byte(c.src), &at); err != nil {
			t.Errorf("%q: %v", c.src, err)
		}
		var or *time.Time
		if err := m.Scan(pgtype.TimestamptzOID, c.format, []byte(c.src), &or); err != nil || or == nil || !or.Equal(at) {
			t.Errorf("%q as what may be null: %v, %v", c.src, or, err)
		}
		if got := at.UTC().Format(time.RFC3339Nano); got != c.want {
			t.Errorf("%q is read as %s, want %s", c.src, got, c.want)
		}
		value, err := inYears{&pgtype.TimestamptzCodec{}}.DecodeValue(m, pgtype.TimestamptzOID, c.format, []byte(c.src))
		if got, ok := value.(time.Time); err != nil || !ok || !got.Equal(at) {
			t.Errorf("%q as a value: %v, %v", c.src, value, err)
		}
	}
	var none *time.Time
	if err := m.Scan(pgtype.TimestamptzOID, text, nil, &none); err != nil || none != nil {
		t.Errorf("null is read as %v, %v", none, err)
	}
	var all []time.Time
	if err := m.Scan(pgtype.TimestamptzArrayOID, text, []byte(`{infinity,"2026-11-29 12:00:00+00"}`), &all); err != nil ||
		len(all) != 2 || !all[0].Equal(latest) {
		t.Errorf("an array is read as %v, %v", all, err)
	}
}

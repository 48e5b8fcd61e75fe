package postgres

import (
	"database/sql/driver"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// The years that JSON has, and every program reads.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// registerTimes has all times that are read, in arrays too, drawn to the nearest end of the years 1 to 9999. PostgreSQL
// holds more, infinity among them, and what somebody wrote into one row by hand would end the reading of all others:
// Go has no such time, and JSON no such year.
func registerTimes(m *pgtype.Map) {
	times := &pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: inYears{&pgtype.TimestamptzCodec{}}}
	m.RegisterType(times)
	m.RegisterType(&pgtype.Type{
		Name: "_timestamptz", OID: pgtype.TimestamptzArrayOID, Codec: &pgtype.ArrayCodec{ElementType: times},
	})
}

// inYears is the codec of the driver, but for what lies beyond the years 1 to 9999.
type inYears struct{ *pgtype.TimestamptzCodec }

// PlanScan plans to read what lies in these years.
func (c inYears) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	plan := c.TimestamptzCodec.PlanScan(m, oid, format, target)
	if plan == nil {
		return nil
	}
	return planInYears{plan}
}

// DecodeDatabaseSQLValue reads a value for package database/sql.
func (c inYears) DecodeDatabaseSQLValue(m *pgtype.Map, oid uint32, format int16, src []byte) (driver.Value, error) {
	return c.DecodeValue(m, oid, format, src)
}

// DecodeValue reads a value of which nobody has said what it is to become.
func (c inYears) DecodeValue(m *pgtype.Map, oid uint32, format int16, src []byte) (any, error) {
	if src == nil {
		return nil, nil
	}
	var value pgtype.Timestamptz
	if err := c.PlanScan(m, oid, format, &value).Scan(src, &value); err != nil {
		return nil, err
	}
	return value.Time, nil
}

type planInYears struct{ plan pgtype.ScanPlan }

func (p planInYears) Scan(src []byte, target any) error {
	return p.plan.Scan(src, toYears{target.(pgtype.TimestamptzScanner)})
}

type toYears struct{ to pgtype.TimestamptzScanner }

func (s toYears) ScanTimestamptz(at pgtype.Timestamptz) error {
	switch {
	case !at.Valid:
	case at.InfinityModifier == pgtype.NegativeInfinity, at.InfinityModifier == pgtype.Finite && at.Time.Before(earliest):
		at = pgtype.Timestamptz{Time: earliest, Valid: true}
	case at.InfinityModifier == pgtype.Infinity, at.Time.After(latest):
		at = pgtype.Timestamptz{Time: latest, Valid: true}
	}
	return s.to.ScanTimestamptz(at)
}

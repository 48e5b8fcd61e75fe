package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

const (
	setAside    = `select reference from ` + sqlexpr.Letters + ` where source = $1`
	anyUnlisted = `select to_regclass('tactus.unlisted') is not null`
)

// readAside reads the events that the relay has set aside: they are not in the stream, but not lost either.
func (c *checker) readAside(ctx context.Context, tx pgx.Tx) error {
	sql, there := setAside, false
	if err := tx.QueryRow(ctx, anyUnlisted).Scan(&there); err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	if !there { // the schema is of the release before
		sql = sqlexpr.BeforeUnlisted(sql)
	}
	rows, err := tx.Query(ctx, sql, c.config.Sink)
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	c.aside = map[domain.ID][]uint32{}
	var reference string
	_, err = pgx.ForEachRow(rows, []any{&reference}, func() error {
		text, number, _ := strings.Cut(reference, "/")
		id, err := domain.ParseID(text)
		var version uint32
		if _, verr := fmt.Sscan(number, &version); err == nil && verr == nil {
			c.aside[id] = append(c.aside[id], version)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	return nil
}

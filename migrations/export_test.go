package migrations

import (
	"context"

	"github.com/pressly/goose/v3"
)

// UpTo migrates to a version and not further, as an older program does.
func UpTo(ctx context.Context, url string, version int64) error {
	return with(ctx, url, nil, func(p *goose.Provider) error {
		_, err := p.UpTo(ctx, version)
		return err
	})
}

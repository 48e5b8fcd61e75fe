package servers

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
)

// Backup copies the data of a running server with pg_basebackup, into the folder of cfg. It returns a function that
// starts the copy, which replays what the server has archived since, up to a restore point, and then is a primary.
func (p *Postgres) Backup(
	ctx context.Context, cfg Config,
) (restore func(ctx context.Context, archive, point string) (*Postgres, error), err error) {
	copied := &Postgres{cfg: cfg, binary: p.binary, secret: p.secret}
	if _, err := cfg.dataDir(); err != nil {
		return nil, err
	}
	at := fmt.Sprintf("host=127.0.0.1 port=%d user=%s", p.port, superuser)
	if err := copied.run(ctx, "pg_basebackup", "-D", copied.data(), "-d", at, "-X", "none", "--checkpoint=fast",
		"--no-sync"); err != nil {
		return nil, err
	}
	return func(ctx context.Context, archive, point string) (*Postgres, error) {
		settings := map[string]string{
			"restore_command": "cp " + archive + "/%f %p", "recovery_target_name": point,
			"recovery_target_action": "promote", "archive_mode": "off",
		}
		maps.Copy(settings, cfg.Settings)
		copied.cfg.Settings = settings
		if err := hand(filepath.Join(copied.data(), "recovery.signal"), ""); err != nil {
			return nil, fmt.Errorf("restore a backup: %w", err)
		}
		return copied, copied.cfg.onFreePort(func(port int) error {
			copied.port = port
			return copied.Start(ctx)
		})
	}, nil
}

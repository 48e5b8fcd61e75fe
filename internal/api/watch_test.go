package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// explain has PostgreSQL say of each statement what it looked at.
const explain = `load 'auto_explain';
set client_min_messages = notice; set auto_explain.log_level = notice; set auto_explain.log_format = json;
set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set auto_explain.log_buffers = on; set auto_explain.log_min_duration = 0`

// watched is a service that counts what its statements look at.
type watched struct {
	service
	seen *atomic.Int64
}

func watch(t *testing.T, of *pgxpool.Pool) watched {
	t.Helper()
	w := watched{seen: &atomic.Int64{}}
	cfg := of.Config()
	begin := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if begin != nil {
			if err := begin(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, explain, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { w.seen.Add(blocksOf(n.Message)) }
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w.service = serveOver(t, pool)
	return w
}

// blocksOf reads "duration: 1.0 ms  plan: {...}"; the root of a plan counts what is below it, too.
func blocksOf(message string) int64 {
	_, plan, is := strings.Cut(message, "plan:")
	var root struct {
		Plan map[string]any
	}
	if !is || json.Unmarshal([]byte(plan), &root) != nil {
		return 0
	}
	var blocks float64
	for _, kind := range []string{"Shared Hit Blocks", "Shared Read Blocks"} {
		n, _ := root.Plan[kind].(float64)
		blocks += n
	}
	return int64(blocks)
}

// blocks is how many blocks a request looks at.
func (w watched) blocks(t *testing.T, method, path, body string) int {
	t.Helper()
	w.seen.Store(0)
	w.do(t, method, path, body)
	return int(w.seen.Load())
}

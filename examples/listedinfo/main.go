// Command listedinfo is an upstream service. It keeps schedules that fetch lists of stocks, each with a row of its own,
// and writes both in one transaction. It uses the Go API of tactus only, and connects to PostgreSQL only.
//
//	DATABASE_URL=postgres://... listedinfo 127.0.0.1:8010
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

func main() {
	if len(os.Args) != 2 || os.Getenv("DATABASE_URL") == "" {
		fmt.Fprintln(os.Stderr, "usage: DATABASE_URL=postgres://... listedinfo HOST:PORT")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Getenv("DATABASE_URL"), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "listedinfo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, database, addr string) error {
	pool, err := outbox.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, createTable); err != nil {
		return fmt.Errorf("create the table: %w", err)
	}
	server := &http.Server{Addr: addr, Handler: newService(pool), ReadTimeout: 30 * time.Second}
	return server.ListenAndServe()
}

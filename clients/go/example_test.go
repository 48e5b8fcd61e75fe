package tactus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"

	"github.com/jackc/pgx/v5/pgxpool"

	tactus "github.com/tactus-dev/tactus/clients/go"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// exampleAPI starts what the examples speak to.
func exampleAPI() (url string, stop func()) {
	database, drop := testenv.ExampleURL()
	pool, err := pgxpool.New(context.Background(), database)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(io.Discard, nil)), celery.Config{}))
	return server.URL, func() { server.Close(); pool.Close(); drop() }
}

// A service keeps the schedule of a customer as it should be: Put creates it, or changes what differs. It can be called
// as often as one likes.
func ExampleClient_Put() {
	url, stop := exampleAPI() // elsewhere TACTUS_URL
	defer stop()
	client, err := tactus.New(url, tactus.Config{Token: ""}) // elsewhere TACTUS_TOKEN
	if err != nil {
		log.Fatal(err)
	}
	ctx := tactus.WithReason(context.Background(), "customer 17 signed up")
	schedule, err := client.Put(ctx, "report of customer 17", tactus.ScheduleDefinition{
		CronExpression: new("30 9 * * mon-fri"),
		Timezone:       new("Asia/Tokyo"),
		TaskName:       "reports.daily",
		Kwargs:         &map[string]any{"customer": 17},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(schedule.Name, *schedule.CronExpression, *schedule.Timezone, schedule.Version)
	// Output: report of customer 17 30 9 * * 1-5 Asia/Tokyo 1
}

// A refusal has all faults, each with its field and what to do about it.
func ExampleError() {
	url, stop := exampleAPI()
	defer stop()
	client, err := tactus.New(url, tactus.Config{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Create(context.Background(), tactus.ScheduleDefinition{TaskName: "reports.daily"})
	if refused, ok := errors.AsType[*tactus.Error](err); ok {
		for _, fault := range refused.Errors {
			fmt.Println(fault.Code)
		}
	}
	fmt.Println(errors.Is(err, tactus.Code("trigger_missing")))
	// Output:
	// trigger_missing
	// true
}

// What failed last night: lists are read a page at a time, while one ranges over them.
func ExampleClient_Runs() {
	url, stop := exampleAPI()
	defer stop()
	client, err := tactus.New(url, tactus.Config{})
	if err != nil {
		log.Fatal(err)
	}
	failed := tactus.ListRunsParams{Status: &[]tactus.ListRunsParamsStatus{tactus.ListRunsParamsStatusFailed}}
	for run, err := range client.Runs(context.Background(), failed) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(run.DueAt, run.ScheduleName)
	}
	fmt.Println("that is all")
	// Output: that is all
}

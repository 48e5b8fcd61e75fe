package outbox_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// definition is a valid one. An empty name lets one be made up.
func definition(name string) domain.Definition {
	return domain.Definition{Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task"}
}

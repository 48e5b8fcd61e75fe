package processes

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// How commands end.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

package outbox_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestPutRefusesWhatIsTooLarge puts definitions in a caller's transaction: what is larger than every other way of
// writing one takes is refused, and the transaction goes on.
func TestPutRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		d := definition("large")
		d.Kwargs = json.RawMessage(`{"a": "` + strings.Repeat("<", domain.MaxPayload) + `"}`)
		if _, err := outbox.Put(t.Context(), tx, d); !errors.Is(err, &domain.Error{Code: "payload_too_large"}) {
			t.Errorf("too large: %v", err)
		}
		d.Kwargs = json.RawMessage(`{"a": "` + strings.Repeat("<", domain.MaxPayload-1000) + `"}`)
		_, err := outbox.Put(t.Context(), tx, d)
		return err
	})
	if err != nil {
		t.Errorf("within the limit: %v", err)
	}
}

package outbox

import (
	"github.com/google/uuid"

	"github.com/tactus-dev/tactus/domain"
)

// NewID makes a UUIDv7: unique, and rising with time, which keeps indexes dense.
func NewID() domain.ID { return domain.ID(uuid.Must(uuid.NewV7())) } // fails only when the system has no randomness

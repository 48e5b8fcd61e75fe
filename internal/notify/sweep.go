package notify

import "context"

// sweep finds what no statement makes happen.
func (s *Service) sweep(ctx context.Context) { <-ctx.Done() }

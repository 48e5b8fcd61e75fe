package relay

import (
	"context"
	"errors"

	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// claim tells the sink for which owner it is filled from now on. The owner can only change while the connections to the
// database are cut, so it is read once for each agreement.
func (l *lane) claim(ctx context.Context) error {
	sink, ok := l.Sink.(Claimer)
	if !ok {
		return nil
	}
	owner, err := l.readOwner(ctx)
	if err == nil {
		l.owner = owner
		sink.Claim(owner)
	}
	return err
}

// readOwner reads the owner from two tables, which another session may have locked. While the table of the installation
// is locked, readOwner returns the owner that this lane has read before, if the database is still on the same server
// and timeline. While the table of the refusals is locked, the refusals count as not known, because another relay may
// have changed them; this only matters for a sink that has lost its mark.
func (l *lane) readOwner(ctx context.Context) (ledger.Owner, error) {
	var owner ledger.Owner
	err := l.readUnlocked(ctx, "tactus.installation", func(ctx context.Context) (err error) {
		owner, err = ledger.ReadInstallation(ctx, l.db)
		return err
	})
	if locked(err) && l.owner.Server != "" {
		owner, err = l.ownerBefore(ctx, err)
	}
	if err != nil || owner.Installation == "" {
		return owner, err
	}
	err = l.readUnlocked(ctx, "tactus.refusals", func(ctx context.Context) (err error) {
		owner.Refused, err = ledger.ReadRefusals(ctx, l.db)
		return err
	})
	if owner.Unknown = nil; locked(err) {
		owner.Refused, owner.Unknown, err = nil, err, nil
	}
	return owner, err
}

// ownerBefore returns the owner that was read last, or err if the database has moved since.
func (l *lane) ownerBefore(ctx context.Context, err error) (ledger.Owner, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	server, failed := ledger.ReadServer(ctx, l.db)
	if failed != nil || server != l.owner.Server {
		return ledger.Owner{}, errors.Join(err, failed)
	}
	return l.owner, nil
}

// readUnlocked calls read, which reads a table. If the table is locked, it returns an error that says by whom.
func (l *lane) readUnlocked(ctx context.Context, table string, read func(context.Context) error) error {
	return l.beside.Read(ctx, table, func() error {
		ctx, cancel := context.WithTimeout(ctx, l.patience)
		defer cancel()
		return read(ctx)
	})
}

func locked(err error) bool {
	_, is := errors.AsType[*tablelocks.Locked](err)
	return is
}

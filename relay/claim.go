package relay

import (
	"context"
	"errors"

	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// claim tells the sink who its owner is to be. The owner can change only while the connections to the database are cut.
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

// readOwner reads who the owner is. While somebody has locked one of the two tables that say so, the installation is
// the one that this lane has read before, if the database is still where it was then. What it was refused may have
// changed since, by another relay of ours, and counts as not known: that matters only to a sink that has lost its mark.
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

// ownerBefore returns the owner that was read last, or the given error if the database was elsewhere then.
func (l *lane) ownerBefore(ctx context.Context, err error) (ledger.Owner, error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	server, failed := ledger.ReadServer(ctx, l.db)
	if failed != nil || server != l.owner.Server {
		return ledger.Owner{}, errors.Join(err, failed)
	}
	return l.owner, nil
}

// readUnlocked reads a table, or returns an error that says who has locked it.
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

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

func (s *server) keys(api huma.API) {
	const keys = prefix + "/keys"
	register(api, huma.Operation{
		OperationID: "whoami", Method: http.MethodGet, Path: prefix + "/whoami", Summary: "Who the caller is, by its credential",
	}, s.whoami)
	register(api, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: keys, Summary: "The API keys, newest first",
	}, s.listKeys)
	register(api, huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: keys, Summary: "Make an API key, which is shown this once",
		DefaultStatus: http.StatusCreated,
	}, s.createKey)
	takes[newKey](api, keys)
	register(api, huma.Operation{
		OperationID: "get-key", Method: http.MethodGet, Path: keys + "/{id}", Summary: "What is known of an API key",
	}, s.getKey)
	register(api, huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: keys + "/{id}",
		Summary: "End an API key and its sessions, in every process within about a second",
	}, s.revokeKey)
	register(api, huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: keys + "/{id}/rotate",
		Summary:       "Replace an API key by a new one, and end it after an overlap",
		DefaultStatus: http.StatusCreated,
	}, s.rotateKey)
	mayTake[rotation](api, keys+"/{id}/rotate")
}

// newKey is the body of a request for a new key.
type newKey struct {
	Name      string       `json:"name" doc:"Whose key it is: events name it as their actor."`
	Role      access.Role  `json:"role" enum:"read,write,admin"`
	Scope     access.Scope `json:"scope,omitempty" doc:"tag:TAG or name:PREFIX of the schedules that it is confined to; all unless given."`
	ExpiresAt *time.Time   `json:"expires_at,omitempty" doc:"Never unless given."`
}

// rotation says how a key is replaced.
type rotation struct {
	OverlapSeconds *float64   `json:"overlap_seconds,omitempty" doc:"How long the replaced key goes on; a day unless given." minimum:"0"`
	ExpiresAt      *time.Time `json:"expires_at,omitempty" doc:"When the new key expires; it lives as long as the replaced one was made for, unless given."`
}

const defaultOverlap = 24 * time.Hour

// ByKey names a key.
type ByKey struct {
	ID string `path:"id" doc:"The key's id, not the key."`
}

func (b ByKey) id() (domain.ID, error) {
	id, err := domain.ParseID(b.ID)
	if err != nil {
		return id, fmt.Errorf("%w", access.ErrKeyNotFound)
	}
	return id, nil
}

type (
	keyOutput    struct{ Body access.KeyInfo }
	issuedOutput struct {
		Location string `header:"Location"`
		Cache    string `header:"Cache-Control"`
		Body     access.IssuedKey
	}
	keysOutput struct {
		Body struct {
			Keys []access.KeyInfo `json:"keys"`
		}
	}
)

func (s *server) whoami(ctx context.Context, _ *struct{}) (*struct{ Body access.Principal }, error) {
	return &struct{ Body access.Principal }{access.From(ctx)}, nil
}

func (s *server) listKeys(ctx context.Context, _ *struct{}) (*keysOutput, error) {
	all, err := s.access.List(ctx)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &keysOutput{}
	out.Body.Keys = append([]access.KeyInfo{}, all...)
	return out, nil
}

func (s *server) createKey(ctx context.Context, in *struct{ body }) (*issuedOutput, error) {
	var asked newKey
	if err := strictly(in.RawBody, &asked); err != nil {
		return nil, s.answer(err)
	}
	return s.issued(s.access.Create(ctx, access.NewKey{
		Name: asked.Name, Role: asked.Role, Scope: asked.Scope, ExpiresAt: asked.ExpiresAt, By: access.From(ctx).Actor(),
	}))
}

func (s *server) issued(made access.IssuedKey, err error) (*issuedOutput, error) {
	if err != nil {
		return nil, s.answer(err)
	}
	return &issuedOutput{Location: prefix + "/keys/" + made.ID.String(), Cache: "no-store", Body: made}, nil
}

func (s *server) getKey(ctx context.Context, in *ByKey) (*keyOutput, error) {
	return s.aboutKey(ctx, *in, s.access.Get)
}

func (s *server) revokeKey(ctx context.Context, in *ByKey) (*keyOutput, error) {
	return s.aboutKey(ctx, *in, s.access.Revoke)
}

func (s *server) aboutKey(ctx context.Context, in ByKey, do func(context.Context, domain.ID) (access.KeyInfo, error),
) (*keyOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	key, err := do(ctx, id)
	if err != nil {
		return nil, s.answer(err)
	}
	return &keyOutput{key}, nil
}

func (s *server) rotateKey(ctx context.Context, in *struct {
	ByKey
	body
},
) (*issuedOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, s.answer(err)
	}
	var asked rotation
	if err := strictly(in.RawBody, &asked); err != nil {
		return nil, s.answer(err)
	}
	overlap := defaultOverlap.Seconds()
	if asked.OverlapSeconds != nil {
		overlap = *asked.OverlapSeconds
	}
	if overlap < 0 || overlap > access.MaxOverlap.Seconds() {
		overlap = -1 // no Duration may hold it; refused below
	}
	return s.issued(s.access.Rotate(ctx, id, time.Duration(overlap*float64(time.Second)), asked.ExpiresAt, access.From(ctx).Actor()))
}

// strictly decodes a small body, and refuses unknown members. An empty body counts as an empty object.
func strictly(raw []byte, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Message: err.Error()}
	}
	if d.More() {
		return &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Message: "there is more behind the object"}
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

const prefix = "/api/v1/schedules/listed-info"

type service struct{ store store }

// newService returns the handler of the service.
func newService(pool *pgxpool.Pool) http.Handler {
	s, mux := service{store{pool}}, http.NewServeMux()
	for pattern, operation := range map[string]operation{
		"POST " + prefix:                  s.create,
		"GET " + prefix:                   s.list,
		"GET " + prefix + "/{id}":         s.get,
		"PUT " + prefix + "/{id}":         s.update,
		"DELETE " + prefix + "/{id}":      s.remove,
		"POST " + prefix + "/{id}/toggle": s.toggle,
		"GET " + prefix + "/{id}/history": s.history,
	} {
		mux.Handle(pattern, operation)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimRight(r.URL.Path, "/") // some clients add one
		mux.ServeHTTP(w, r)
	})
}

func (s service) create(r *http.Request) (int, any, error) {
	in, err := readRequest(r)
	if err != nil {
		return 0, nil, err
	}
	id, err := s.store.create(r.Context(), in)
	if err != nil {
		return 0, nil, err
	}
	made, err := s.store.get(r.Context(), id)
	return http.StatusCreated, made, err
}

func (s service) list(r *http.Request) (int, any, error) {
	limit, offset, err := page(r)
	if err != nil {
		return 0, nil, err
	}
	found, total, err := s.store.list(r.Context(), r.FormValue("enabled_only") == "true", limit, offset)
	return http.StatusOK, object{"schedules": found, "total": total, "limit": limit, "offset": offset}, err
}

func (s service) get(r *http.Request) (int, any, error) {
	id, err := idOf(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := s.store.get(r.Context(), id)
	return http.StatusOK, found, err
}

func (s service) update(r *http.Request) (int, any, error) {
	in, err := readRequest(r)
	if err != nil {
		return 0, nil, err
	}
	return s.change(r, func(ctx context.Context, id domain.ID) error { return s.store.change(ctx, id, in) })
}

func (s service) toggle(r *http.Request) (int, any, error) { return s.change(r, s.store.toggle) }

// change returns the schedule after a change.
func (s service) change(r *http.Request, do func(context.Context, domain.ID) error) (int, any, error) {
	id, err := idOf(r)
	if err != nil {
		return 0, nil, err
	}
	if err := do(r.Context(), id); err != nil {
		return 0, nil, err
	}
	return s.get(r)
}

func (s service) remove(r *http.Request) (int, any, error) {
	id, err := idOf(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, s.store.remove(r.Context(), id)
}

func (s service) history(r *http.Request) (int, any, error) {
	id, err := idOf(r)
	if err != nil {
		return 0, nil, err
	}
	limit, offset, err := page(r)
	if err != nil {
		return 0, nil, err
	}
	if _, err := s.store.get(r.Context(), id); err != nil {
		return 0, nil, err
	}
	found, total, err := s.store.history(r.Context(), id, limit, offset)
	return http.StatusOK, object{"schedule_id": id, "history": found, "total": total, "limit": limit, "offset": offset}, err
}

func idOf(r *http.Request) (domain.ID, error) {
	id, err := domain.ParseID(r.PathValue("id"))
	if err != nil {
		return id, domain.ErrNotFound
	}
	return id, nil
}

func page(r *http.Request) (limit, offset int, err error) {
	limit, offset = 100, 0
	for name, value := range map[string]*int{"limit": &limit, "offset": &offset} {
		text := r.FormValue(name)
		if text == "" {
			continue
		}
		if *value, err = strconv.Atoi(text); err != nil || *value < 0 || limit > 1000 {
			return 0, 0, &domain.Error{Kind: domain.Invalid, Code: "parameter_invalid", Field: name, Message: "want a number, a limit of at most 1000"}
		}
	}
	return limit, offset, nil
}

type object map[string]any

// operation answers a request with a status and a body, or returns an error.
type operation func(*http.Request) (int, any, error)

// ServeHTTP implements http.Handler.
func (o operation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body, err := o(r)
	if err != nil {
		status, body = refusal(err)
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client is gone
}

// refusal returns the answer for an error: all faults of the request, or a plain failure, which is logged.
func refusal(err error) (int, any) {
	faults := domain.FaultsOf(err)
	switch {
	case faults == nil:
		log.Print(err)
		return http.StatusServiceUnavailable, object{"detail": "try again"}
	case errors.Is(err, domain.ErrNotFound):
		return http.StatusNotFound, object{"detail": faults.Error()}
	case errors.Is(err, domain.ErrNameTaken):
		return http.StatusConflict, object{"detail": faults.Error()}
	}
	all := make([]object, len(faults))
	for i, f := range faults {
		all[i] = object{"code": f.Code, "location": f.Field, "message": f.Message}
	}
	return http.StatusUnprocessableEntity, object{"detail": faults.Error(), "errors": all}
}

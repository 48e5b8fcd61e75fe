package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/notify"
)

func (s *server) notifications(api huma.API) {
	const all = prefix + "/notification-rules"
	register(api, huma.Operation{
		OperationID: "list-notification-rules", Method: http.MethodGet, Path: all, Summary: "Who is told what, by name",
	}, s.listRules)
	register(api, huma.Operation{
		OperationID: "get-notification-rule", Method: http.MethodGet, Path: all + "/{name}",
		Summary: "Read a notification rule, with how telling goes",
	}, s.getRule)
	register(api, huma.Operation{
		OperationID: "put-notification-rule", Method: http.MethodPut, Path: all + "/{name}",
		Summary:     "Create the notification rule of that name, or change it",
		Description: "Its address, secret and headers are never shown again; what a request leaves out of them stays as it is. The answer that makes a webhook has its secret, which signs what is sent by the scheme of Standard Webhooks.",
	}, s.putRule)
	takes[ruleBody](api, all+"/{name}")
	register(api, huma.Operation{
		OperationID: "delete-notification-rule", Method: http.MethodDelete, Path: all + "/{name}",
		Summary:       "Delete a notification rule, and what it was still to tell",
		DefaultStatus: http.StatusNoContent,
	}, s.deleteRule)
	register(api, huma.Operation{
		OperationID: "rotate-notification-secret", Method: http.MethodPost, Path: all + "/{name}/rotate",
		Summary: "Give a webhook a new secret; the one before signs beside it for a day",
	}, s.rotateRule)
	register(api, huma.Operation{
		OperationID: "test-notification-rule", Method: http.MethodPost, Path: all + "/{name}/test",
		Summary: "Send a test to the destination of a rule, and wait for what comes of it",
	}, s.testRule)
}

// ruleBody describes the body of a request that writes a rule. domain.DecodeNotificationRule decodes such bodies.
// Members take their descriptions from those of a rule.
type ruleBody struct {
	Description       string             `json:"description,omitempty"`
	Source            *string            `json:"source,omitempty"`
	Enabled           *bool              `json:"enabled,omitempty"`
	Names             []string           `json:"names,omitempty"`
	Tags              []string           `json:"tags,omitempty"`
	Tasks             []string           `json:"tasks,omitempty"`
	On                []domain.Happening `json:"on" enum:"failed,missed,late,unknown,invalid,never_fired,recovered,paused,succeeded"`
	LateSeconds       int64              `json:"late_seconds,omitempty"`
	PausedSeconds     int64              `json:"paused_seconds,omitempty"`
	NeverFiredSeconds int64              `json:"never_fired_seconds,omitempty"`
	EveryMinutes      int64              `json:"every_minutes,omitempty"`
	To                domain.Channel     `json:"to" enum:"webhook,slack,http,ping,stream"`
	URL               string             `json:"url,omitempty"`
	Secret            string             `json:"secret,omitempty" doc:"Of a webhook; one is made unless given."`
	Method            string             `json:"method,omitempty" enum:"GET,POST,PUT,PATCH"`
	Headers           map[string]string  `json:"headers,omitempty" doc:"Of the form http. They are never shown."`
	ContentType       string             `json:"content_type,omitempty"`
	Body              string             `json:"body,omitempty"`
}

// ruleAnswer is a rule in an answer.
type ruleAnswer struct {
	notify.Rule
	Secret string `json:"secret,omitempty" readOnly:"true" doc:"Of a webhook, in the answer that made it alone."`
}

type ruleOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Cache  string `header:"Cache-Control"`
	Body   ruleAnswer
}

// answerRule returns the answer for a rule. An answer with a secret must not be cached.
func answerRule(ctx context.Context, r notify.Rule, secret string, status int) (*ruleOutput, error) {
	out := &ruleOutput{Status: status, ETag: fmt.Sprintf(`"%d"`, r.Version), Body: ruleAnswer{r, secret}}
	if secret != "" {
		out.Cache = "no-store"
	}
	return out, catalog.Hold(ctx, ruleSize(r))
}

// ruleSize returns about how many bytes a rule takes.
func ruleSize(r notify.Rule) (bytes int) {
	bytes = 512 + len(r.Description) + len(r.Body)
	bytes += 16 * len(r.On)
	for _, a := range r.Last.Attempts {
		bytes += 128 + len(a.Error)
	}
	for _, texts := range [][]string{r.Names, r.Tags, r.Tasks} {
		for _, text := range texts {
			bytes += 16 + len(text)
		}
	}
	return bytes
}

// ByRule names a notification rule.
type ByRule struct {
	Name string `path:"name" doc:"The rule's name."`
}

type rulesOutput struct {
	Body struct {
		Rules   []notify.Rule `json:"notification_rules"`
		Total   int64         `json:"total"`
		Page    int           `json:"page"`
		PerPage int           `json:"per_page"`
	}
}

func (s *server) listRules(ctx context.Context, in *struct {
	Page    int `query:"page" minimum:"1" maximum:"1000000" default:"1"`
	PerPage int `query:"per_page" minimum:"1" maximum:"100" default:"50"`
},
) (*rulesOutput, error) {
	some, total, err := s.rules.Page(ctx, in.PerPage, (in.Page-1)*in.PerPage)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &rulesOutput{}
	out.Body.Rules = []notify.Rule{}
	for _, r := range some {
		if err := catalog.Hold(ctx, ruleSize(r)); err != nil {
			return nil, s.answer(err)
		}
		out.Body.Rules = append(out.Body.Rules, r)
	}
	out.Body.Total, out.Body.Page, out.Body.PerPage = total, in.Page, in.PerPage
	return out, nil
}

func (s *server) getRule(ctx context.Context, in *ByRule) (*ruleOutput, error) {
	r, err := s.rules.Get(ctx, in.Name)
	if err != nil {
		return nil, s.answer(err)
	}
	return s.shown(answerRule(ctx, r, "", http.StatusOK))
}

func (s *server) shown(out *ruleOutput, err error) (*ruleOutput, error) {
	if err != nil {
		return nil, s.answer(err)
	}
	return out, nil
}

func (s *server) putRule(ctx context.Context, in *struct {
	ByRule
	IfMatch
	body
},
) (*ruleOutput, error) {
	version, err := in.version()
	if err != nil {
		return nil, s.answer(err)
	}
	var asked domain.NotificationRule
	var secrets domain.NotificationSecrets
	if gone := s.bodies.judge(ctx, func() {
		asked, secrets, err = domain.DecodeNotificationRule(in.Name,
			in.RawBody)
	}); gone != nil {
		return nil, s.answer(gone)
	}
	if err != nil {
		return nil, s.answer(domain.Join(err, s.rules.Check(ctx, asked, secrets)))
	}
	r, created, secret, err := s.rules.Put(ctx, asked, secrets, version)
	if err != nil {
		return nil, s.answer(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return s.shown(answerRule(ctx, r, secret, status))
}

func (s *server) deleteRule(ctx context.Context, in *struct {
	ByRule
	IfMatch
},
) (*struct{}, error) {
	version, err := in.version()
	if err == nil {
		err = s.rules.Delete(ctx, in.Name, version)
	}
	return nil, s.answer(err)
}

func (s *server) rotateRule(ctx context.Context, in *ByRule) (*ruleOutput, error) {
	r, secret, err := s.rules.Rotate(ctx, in.Name)
	if err != nil {
		return nil, s.answer(err)
	}
	return s.shown(answerRule(ctx, r, secret, http.StatusOK))
}

func (s *server) testRule(ctx context.Context, in *ByRule) (*struct{ Body notify.Tested }, error) {
	tested, err := s.rules.Test(ctx, in.Name)
	if err != nil {
		return nil, s.answer(err)
	}
	return &struct{ Body notify.Tested }{tested}, nil
}

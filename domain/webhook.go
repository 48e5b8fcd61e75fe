package domain

import (
	"encoding/base64"
	"errors"
	"strings"
)

// WebhookPrefix begins the secret of a webhook, as Standard Webhooks writes it.
const WebhookPrefix = "whsec_"

// WebhookKey decodes the secret of a webhook.
func WebhookKey(secret string) ([]byte, error) {
	text, is := strings.CutPrefix(secret, WebhookPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !is || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("want whsec_ and the base64 of 24 to 64 bytes")
	}
	return key, nil
}

{{- define "tactus.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* The beginning of the names of all objects: that of the release, with tactus in it once. */ -}}
{{- define "tactus.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "tactus.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tactus.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tactus.selector" -}}
app.kubernetes.io/name: {{ include "tactus.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tactus.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tactus.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/part-of: tactus
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "tactus.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tactus.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "tactus.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- /* Where each component listens, as the program does without a setting. */ -}}
{{- define "tactus.port" -}}
{{- get (dict "api" "8000" "relay" "8001" "beat" "8002") . -}}
{{- end -}}

{{- /* The secrets that a component reads, and no others. */ -}}
{{- define "tactus.reads" -}}
{{- get (dict
  "migrate" "DATABASE_URL"
  "api" "DATABASE_URL TACTUS_OIDC_CLIENT_SECRET"
  "relay" "DATABASE_URL TACTUS_LISTEN_URL REDIS_URL CELERY_BROKER_URL TACTUS_OIDC_CLIENT_SECRET"
  "beat" "DATABASE_URL REDIS_URL CELERY_BROKER_URL CELERY_RESULT_BACKEND TACTUS_OIDC_CLIENT_SECRET") . -}}
{{- end -}}

{{- /* A number or a boolean as it was written: 1000000, where Go prints 1e+06. */ -}}
{{- define "tactus.text" -}}
{{- if kindIs "string" . -}}{{ . }}{{- else -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{- /* The names under which the component's Service is asked, besides addresses. */ -}}
{{- define "tactus.hosts" -}}
{{- $name := printf "%s-%s" (include "tactus.fullname" .root) .component -}}
{{- $below := printf "%s.%s" $name .root.Release.Namespace -}}
{{- list $name $below (printf "%s.svc" $below) (printf "%s.svc.cluster.local" $below) | join "," -}}
{{- end -}}

{{- /* All that is wrong with the values and that a schema cannot say, at once. */ -}}
{{- define "tactus.validate" -}}
{{- $faults := list -}}
{{- $wants := dict "DATABASE_URL" (list "api" "relay" "beat" "migrate") "REDIS_URL" (list "relay" "beat") "TACTUS_AUTH" (list "api" "relay" "beat") -}}
{{- range $component := list "api" "relay" "beat" "migrate" -}}
  {{- $env := mergeOverwrite (dict) $.Values.env (index $.Values $component).env -}}
  {{- range $name, $where := $wants -}}
    {{- $given := or (index $env $name) (index $env (printf "%s_FILE" $name)) -}}
    {{- if hasKey $.Values.secrets $name -}}
      {{- $given = or $given (index $.Values.secrets $name).name -}}
    {{- end -}}
    {{- if and (has $component $where) (not $given) -}}
      {{- if eq $name "TACTUS_AUTH" -}}
        {{- $faults = append $faults (printf "env.TACTUS_AUTH is empty for %s: say who may call, such as keys (docs/access.md)" $component) -}}
      {{- else if and (eq $name "DATABASE_URL") (eq $component "migrate") (not $.Values.migrate.enabled) -}}
      {{- else -}}
        {{- $faults = append $faults (printf "%s has no %s: name the secret that has it in secrets.%s.name, or give it in env if it has no password" $component $name $name) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- range $name, $secret := $.Values.secrets -}}
    {{- $file := printf "%s_FILE" $name -}}
    {{- if and $secret.name (or (hasKey $env $name) (hasKey $env $file)) (has $name (splitList " " (include "tactus.reads" $component))) -}}
      {{- $faults = append $faults (printf "%s is both in secrets and in env of %s: leave one out" $name $component) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- with .Values.api.autoscaling -}}
  {{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
    {{- $faults = append $faults (printf "api.autoscaling.minReplicas %d is more than maxReplicas %d" (int .minReplicas) (int .maxReplicas)) -}}
  {{- end -}}
{{- end -}}
{{- if $faults -}}
  {{- fail (printf "\n- %s" (join "\n- " $faults)) -}}
{{- end -}}
{{- end -}}

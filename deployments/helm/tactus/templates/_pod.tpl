{{- /* The environment of a component: what the chart sets, then env, then the component's own env. */ -}}
{{- define "tactus.env" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $own := dict -}}
{{- if ne $component "migrate" -}}
  {{- $_ := set $own "TACTUS_HTTP_ADDR" (printf ":%s" (include "tactus.port" $component)) -}}
  {{- if eq $component "api" -}}
    {{- $_ := set $own "TACTUS_DRAIN" (printf "%ds" (int $root.Values.api.drainSeconds)) -}}
  {{- end -}}
  {{- if $root.Values.tls.secretName -}}
    {{- $_ := set $own "TACTUS_TLS_CERT" "/etc/tactus/tls/tls.crt" -}}
    {{- $_ := set $own "TACTUS_TLS_KEY" "/etc/tactus/tls/tls.key" -}}
    {{- if $root.Values.tls.clientCA -}}
      {{- $_ := set $own "TACTUS_TLS_CLIENT_CA" "/etc/tactus/tls/ca.crt" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $name := splitList " " (include "tactus.reads" $component) -}}
  {{- if (index $root.Values.secrets $name).name -}}
    {{- $_ := set $own (printf "%s_FILE" $name) (printf "/etc/tactus/secrets/%s" $name) -}}
  {{- end -}}
{{- end -}}
{{- $given := mergeOverwrite (dict) $root.Values.env (index $root.Values $component).env -}}
{{- if ne $component "migrate" -}}
  {{- $hosts := include "tactus.hosts" . -}}
  {{- with index $given "TACTUS_ALLOWED_HOSTS" -}}
    {{- $hosts = printf "%s,%s" $hosts . -}}
  {{- end -}}
  {{- $_ := set $given "TACTUS_ALLOWED_HOSTS" $hosts -}}
{{- end -}}
{{- range $name, $value := mergeOverwrite $own $given }}
- name: {{ $name }}
  value: {{ include "tactus.text" $value | quote }}
{{- end -}}
{{- end -}}

{{- /* The pod of a component. */ -}}
{{- define "tactus.pod" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $values := index $root.Values $component -}}
metadata:
  labels:
    {{- include "tactus.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "tactus.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- /* The program takes 20 s at most to stop, and longer only by its drain: 15 s and that. 10 s more are room. */}}
  terminationGracePeriodSeconds: {{ if eq $component "api" }}{{ add 25 (max 5 (int $root.Values.api.drainSeconds)) }}{{ else }}30{{ end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- if ne $component "migrate" }}
  topologySpreadConstraints:
    {{- range $root.Values.topologySpread.topologyKeys }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
      matchLabelKeys: [pod-template-hash]
      labelSelector:
        matchLabels:
          {{- include "tactus.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $component }}
    {{- end }}
  {{- else }}
  restartPolicy: Never
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $component }}
      image: {{ include "tactus.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [{{ $component }}]
      env:
        {{- include "tactus.env" . | trim | nindent 8 }}
      {{- if ne $component "migrate" }}
      ports:
        - name: http
          containerPort: {{ include "tactus.port" $component }}
      {{- /* Neither asks for PostgreSQL, Redis or the schema: a restart mends none of them. */}}
      startupProbe:
        {{- include "tactus.probe" (dict "root" $root "path" "/livez") | nindent 8 }}
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        {{- include "tactus.probe" (dict "root" $root "path" "/livez") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      {{- /* Waits for the schema, too: a new pod takes an old one's place when the migrations that it needs are done. */}}
      readinessProbe:
        {{- include "tactus.probe" (dict "root" $root "path" "/readyz") | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      {{- $secrets := include "tactus.sources" . }}
      {{- $tls := and (ne $component "migrate") $root.Values.tls.secretName }}
      {{- if or $secrets $tls $root.Values.extraVolumeMounts }}
      volumeMounts:
        {{- if $secrets }}
        - {name: secrets, mountPath: /etc/tactus/secrets, readOnly: true}
        {{- end }}
        {{- if $tls }}
        - {name: tls, mountPath: /etc/tactus/tls, readOnly: true}
        {{- end }}
        {{- with $root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- if or $secrets $tls $root.Values.extraVolumes }}
  volumes:
    {{- if $secrets }}
    - name: secrets
      projected:
        defaultMode: 0444
        sources:
          {{- $secrets | trim | nindent 10 }}
    {{- end }}
    {{- if $tls }}
    - name: tls
      secret: {secretName: {{ $root.Values.tls.secretName }}, defaultMode: 0444}
    {{- end }}
    {{- with $root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- /* The secrets that the component reads, each as a file of its setting's name. */ -}}
{{- define "tactus.sources" -}}
{{- range $name := splitList " " (include "tactus.reads" .component) -}}
{{- with index $.root.Values.secrets $name }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items: [{key: {{ .key | quote }}, path: {{ $name }}}]
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "tactus.probe" -}}
httpGet: {path: {{ .path }}, port: http, scheme: {{ if .root.Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end }}}
{{- end -}}

{{/* The objects' name: the release's name, with sagegate in it. */}}
{{- define "sagegate.name" -}}
{{- if contains "sagegate" .Release.Name -}}
{{ .Release.Name }}
{{- else -}}
{{ .Release.Name }}-sagegate
{{- end -}}
{{- end }}

{{- define "sagegate.labels" -}}
app.kubernetes.io/name: sagegate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{/* The environment, as data of a map. In a parent chart the values are below this chart's name. */}}
{{- define "sagegate.environment" -}}
{{- $values := .Values.sagegate | default .Values -}}
AWS_REGION: {{ $values.region | quote }}
{{- with $values.roleArn }}
AWS_ROLE_ARN: {{ . | quote }}
AWS_WEB_IDENTITY_TOKEN_FILE: /var/run/secrets/sagegate/token
{{- end }}
{{- range $name, $value := $values.environment }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "sagegate.envFrom" -}}
{{- $values := .Values.sagegate | default .Values -}}
- configMapRef: { name: {{ include "sagegate.name" . }}-env }
{{- with $values.secret }}
- secretRef: { name: {{ . | quote }} }
{{- end }}
{{- end }}

{{- define "sagegate.volumes" -}}
- name: sagegate-config
  configMap: { name: {{ include "sagegate.name" . }}-config }
# A token for AWS STS only; used if AWS_WEB_IDENTITY_TOKEN_FILE names it.
- name: sagegate-token
  projected:
    sources:
      - serviceAccountToken: { audience: sts.amazonaws.com, expirationSeconds: 3600, path: token }
{{- end }}

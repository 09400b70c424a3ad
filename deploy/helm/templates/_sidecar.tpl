{{/*
Adds the gateway to a pod of a chart that names this one in its dependencies:

    metadata:
      annotations:
        {{- include "sagegate.sidecar.annotations" . | nindent 8 }}
    spec:
      initContainers:
        {{- include "sagegate.sidecar.container" . | nindent 8 }}
      volumes:
        {{- include "sagegate.sidecar.volumes" . | nindent 8 }}

with `sagegate: { gateway: { enabled: false }, sidecar: { enabled: true }, config: ... }` in its values.
*/}}

{{- define "sagegate.sidecar.annotations" -}}
# EKS's webhook gives the service account's role to every container except these: the program's.
eks.amazonaws.com/skip-containers: {{ .Values.sagegate.sidecar.containers | quote }}
# A change restarts the pods.
checksum/sagegate: {{ print .Values.sagegate.config (include "sagegate.environment" .) | sha256sum }}
{{- end }}

{{- define "sagegate.sidecar.volumes" -}}
{{ include "sagegate.volumes" . }}
{{- end }}

{{- define "sagegate.sidecar.container" -}}
- name: sagegate
  image: {{ printf "%s:%s" .Values.sagegate.image.repository .Values.sagegate.image.tag | quote }}
  # Makes it a native sidecar: it starts before the program and stops after it, and a Job finishes
  # although it runs.
  restartPolicy: Always
  args: [run, -c, /etc/sagegate/sagegate.yaml]
  ports:
    - { name: sagegate-health, containerPort: 9901 }
  envFrom:
    {{- include "sagegate.envFrom" . | nindent 4 }}
  # The program starts once this returns 200; ready_requires decides whether that needs credentials.
  startupProbe:
    httpGet: { path: /ready, port: sagegate-health }
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    httpGet: { path: /ready, port: sagegate-health }
    periodSeconds: 5
  livenessProbe:
    httpGet: { path: /live, port: sagegate-health }
    periodSeconds: 10
    timeoutSeconds: 3
  lifecycle:
    # Accept the program's last requests before the listener closes.
    preStop: { sleep: { seconds: 1 } }
  resources:
    {{- toYaml .Values.sagegate.sidecar.resources | nindent 4 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    - { name: sagegate-config, mountPath: /etc/sagegate, readOnly: true }
    - { name: sagegate-token, mountPath: /var/run/secrets/sagegate, readOnly: true }
{{- end }}

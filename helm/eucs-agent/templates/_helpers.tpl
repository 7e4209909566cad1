{{- define "eucs-agent.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "eucs-agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "eucs-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "eucs-agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "eucs-agent.labels" -}}
{{ include "eucs-agent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "eucs-agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "eucs-agent.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed with serviceAccount.create=false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "eucs-agent.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.registry -}}{{ .Values.image.registry }}/{{ end -}}{{ .Values.image.repository }}
{{- if hasPrefix "sha256:" $tag }}@{{ else }}:{{ end }}{{ $tag }}
{{- end -}}

{{- define "eucs-agent.config" -}}
apiVersion: eucs-agent.io/v1alpha1
kind: Configuration
source:
  kind: kubernetes
level: {{ .Values.level }}
enforcement: {{ .Values.enforcement }}
existingWorkloads: {{ .Values.existingWorkloads }}
exemptNamespaces: {{ toJson .Values.exemptNamespaces }}
controls:
  params: {{ toJson .Values.params }}
{{- if .Values.ownFindings.approver }}
exemptions: /etc/eucs-agent/config/exemptions.yaml
{{- end }}
evidence:
  dir: /var/lib/eucs-agent
  domain: {{ .Values.evidence.domain | quote }}
  sync: {{ .Values.evidence.sync }}
  diskLimit: {{ .Values.evidence.diskLimit | quote }}
sinks: {{ toJson .Values.sinks }}
webhook:
  enabled: {{ .Values.webhook.enabled }}
  name: {{ include "eucs-agent.fullname" . }}
  service: {{ include "eucs-agent.fullname" . }}-webhook
  timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
  breakGlass: {{ .Values.webhook.breakGlass }}
  ownerClusterRole: {{ if .Values.rbac.create }}{{ include "eucs-agent.fullname" . }}{{ else }}""{{ end }}
  {{- if .Values.webhook.existingSecret }}
  certFile: /etc/eucs-agent/tls/tls.crt
  keyFile: /etc/eucs-agent/tls/tls.key
  caFile: /etc/eucs-agent/tls/ca.crt
  {{- end }}
seats:
  count: {{ .Values.seats.count }}
  lease: {{ include "eucs-agent.fullname" . }}-seat
{{- end -}}

{{- /* What the DaemonSet and its Pods fail, and nothing else. */ -}}
{{- define "eucs-agent.exemptions" -}}
{{- $end := required "ownFindings.end is needed with ownFindings.approver: an exemption has an end" .Values.ownFindings.end -}}
{{- range $control := list "pod-host-path" "pod-host-path-sensitive" "pod-run-as-non-root" "pod-run-as-user" "pod-capabilities-added-restricted" "pod-volume-types" }}
---
apiVersion: eucs-agent.io/v1alpha1
kind: Exemption
metadata: {name: {{ include "eucs-agent.fullname" $ }}-{{ $control }}}
spec:
  control: {{ $control }}
  selector: {namespace: {{ $.Release.Namespace }}, name: "{{ include "eucs-agent.fullname" $ }}*"}
  reason: {{ $.Values.ownFindings.reason | quote }}
  owner: {{ $.Values.ownFindings.owner | quote }}
  approver: {{ $.Values.ownFindings.approver | quote }}
  {{- with $.Values.ownFindings.riskRef }}
  riskRef: {{ . | quote }}
  {{- end }}
  start: {{ $.Values.ownFindings.start | quote }}
  end: {{ $end | quote }}
{{- end }}
{{- end -}}

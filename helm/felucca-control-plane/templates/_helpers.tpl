{{- define "felucca-control-plane.selector" -}}
app.kubernetes.io/name: felucca-control-api
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "felucca-control-plane.labels" -}}
{{ include "felucca-control-plane.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: felucca
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "felucca-control-plane.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "felucca-control-plane.from-secret" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
{{- end }}

{{/*
One group of alerts/: in those files {{ }} is the chart's, [[ ]] is Prometheus', and {@} selects our series.
Each alert gets the address of its page.
*/}}
{{- define "felucca-operator.alerts" -}}
{{- $rules := .root.Values.metrics.prometheusRule }}
{{- $text := tpl (.root.Files.Get (printf "alerts/%s.yaml" .group)) (merge (dict "Template" .root.Template) $rules.thresholds) }}
{{- $text = $text | replace "{@" (printf "{%s" (include "felucca-operator.series" .root)) | replace "[[" "{{" | replace "]]" "}}" -}}
- name: felucca-operator-{{ .group }}
  rules:
    {{- range fromYamlArray $text }}
    {{- $_ := set .annotations "runbook_url" (printf "%s/%s.md" $rules.runbookUrl (kebabcase .alert)) }}
    - {{ toYaml . | nindent 6 | trim }}
    {{- end }}
{{- end }}

{{/* Label matchers of our series: by default what the ServiceMonitor gives them. */}}
{{- define "felucca-operator.series" -}}
{{ .Values.metrics.selector | default (printf "job=\"felucca-operator-metrics\",namespace=\"%s\"" .Release.Namespace) }}
{{- end }}

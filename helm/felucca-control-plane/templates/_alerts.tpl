{{/*
One group of alerts/: in those files {{ }} is the chart's, [[ ]] is Prometheus', and {@} selects our series.
Each alert gets the address of its page.
*/}}
{{- define "felucca-control-plane.alerts" -}}
{{- $rules := .root.Values.metrics.prometheusRule }}
{{- $text := tpl (.root.Files.Get (printf "alerts/%s.yaml" .group)) (merge (dict "Template" .root.Template "burn" (include "felucca-control-plane.burn" . | fromYamlArray)) $rules.thresholds) }}
{{- $text = $text | replace "{@" (printf "{%s" (include "felucca-control-plane.series" .root)) | replace "[[" "{{" | replace "]]" "}}" -}}
- name: felucca-control-plane-{{ .group }}
  rules:
    {{- range fromYamlArray $text }}
    {{- $_ := set .annotations "runbook_url" (printf "%s/%s.md" $rules.runbookUrl (kebabcase .alert)) }}
    - {{ toYaml . | nindent 6 | trim }}
    {{- end }}
{{- end }}

{{/* Label matchers of our series: by default what the ServiceMonitor gives them. */}}
{{- define "felucca-control-plane.series" -}}
{{ .Values.metrics.selector | default (printf "job=\"felucca-control-api\",namespace=\"%s\"" .Release.Namespace) }}
{{- end }}

{{/* How fast an error budget of 30 days may burn: all of it in two days, in five, or just as fast as it comes. */}}
{{- define "felucca-control-plane.burn" -}}
- { factor: 14.4, long: 1h, short: 5m, for: 2m, severity: critical }
- { factor: 6, long: 6h, short: 30m, for: 15m, severity: warning }
- { factor: 1, long: 3d, short: 6h, for: 3h, severity: info }
{{- end }}

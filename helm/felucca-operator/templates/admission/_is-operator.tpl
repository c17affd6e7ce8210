{{/* CEL: the request comes from the operator. */}}
{{- define "felucca-operator.is-operator" -}}
request.userInfo.username == '{{ include "felucca-operator.username" . }}'
{{- end }}

{{/* Every policy refuses when it can't decide, and is bound everywhere. */}}
{{- define "felucca-operator.policy-binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "felucca-operator.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
{{- end }}

{{- define "exposure.labels" -}}
app.kubernetes.io/name: exposure-operator
app.kubernetes.io/part-of: exposure-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "exposure.selector" -}}
app.kubernetes.io/name: exposure-operator
app.kubernetes.io/component: operator
{{- end }}

{{/* Labels of every object. */}}
{{- define "training.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: spira
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Namespace of Airflow's ServiceAccount. */}}
{{- define "training.airflow.namespace" -}}
{{- .Values.airflow.serviceAccount.namespace | default .Release.Namespace }}
{{- end }}

{{- define "sallyport.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "sallyport.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "sallyport.config" -}}
{{- $store := .Values.config.store | default dict -}}
{{- if and (gt (int .Values.replicas) 1) (not $store.url) -}}
{{- fail "config.store.url is empty: several gateways share a PostgreSQL; set it, or replicas: 1" -}}
{{- end -}}
{{- $own := dict "data_dir" "/var/lib/sallyport/data" "metrics" (printf "0.0.0.0:%d" (int .Values.metricsPort)) "shutdown" (dict "delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) "drain" (printf "%ds" (int .Values.shutdown.drainSeconds))) -}}
{{- $config := mergeOverwrite (deepCopy .Values.config) $own -}}
{{- if not $store.url -}}
{{- $config = omit $config "store" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* What the Service and the Deployment select by. Never add to it: a Deployment's selector cannot be changed. */}}
{{- define "service.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "service.podLabels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ include "service.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Pods go without the chart: a new version of it alone would replace them all. */}}
{{- define "service.labels" -}}
{{ include "service.podLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Tells builds apart in labels and in the x-version header: 12 digits of the digest, or the tag as a label value. */}}
{{- define "service.version" -}}
{{- if .Values.image.digest -}}
{{- .Values.image.digest | trimPrefix "sha256:" | trunc 12 -}}
{{- else -}}
{{- regexReplaceAll "^[^A-Za-z0-9]+|[^A-Za-z0-9]+$" (trunc 63 .Values.image.tag) "" -}}
{{- end -}}
{{- end }}

{{- define "service.image" -}}
{{- $name := printf "%s/%s" (.Values.image.registry | default .Values.imagesFrom | default "docker.io") .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else if .Values.image.tag -}}
{{- printf "%s:%s" $name .Values.image.tag -}}
{{- else -}}
{{- fail "No image to run: set image.digest (sha256:…) or image.tag" -}}
{{- end -}}
{{- end }}

{{/* What Prometheus finds the metrics by, beside the selector. */}}
{{- define "service.metricsLabel" -}}
app.kubernetes.io/component: metrics
{{- end }}

{{/* A process that is killed within its own limits loses requests that it had accepted. */}}
{{- define "service.gracePeriodSeconds" -}}
{{- $v := .Values -}}
{{- /* A second for the metrics to close and the process to end. */ -}}
{{- $needMs := add (mul 1000 $v.preStopSeconds) $v.drainMs $v.stopMs 1000 -}}
{{- if gt $needMs (mul 1000 $v.terminationGracePeriodSeconds) -}}
{{- fail (printf "A pod may need %d ms to end (preStopSeconds %d, drainMs %d, stopMs %d, and 1 s), more than terminationGracePeriodSeconds %d" $needMs (int $v.preStopSeconds) (int $v.drainMs) (int $v.stopMs) (int $v.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- int $v.terminationGracePeriodSeconds -}}
{{- end }}

{{/* Whether a new version is tried on a part of the traffic first; empty means that it is not. */}}
{{- define "service.isRollout" -}}
{{- if eq .Values.workload.kind "Rollout" }}true{{ end -}}
{{- end }}

{{/* Whether the code comes from a working tree; empty means that it comes from the image. */}}
{{- define "service.isSynced" -}}
{{- if .Values.sync.secretName -}}
{{- if or (ne .Values.environment "dev") (include "service.isRollout" .) -}}
{{- fail "sync.secretName is for dev alone, and for workload.kind Deployment" -}}
{{- end -}}
true
{{- end -}}
{{- end }}

{{/* What has the pods, for those who scale them. */}}
{{- define "service.workloadRef" -}}
{{- $isRollout := include "service.isRollout" . -}}
apiVersion: {{ ternary "argoproj.io/v1alpha1" "apps/v1" (not (empty $isRollout)) }}
kind: {{ .Values.workload.kind }}
name: {{ .Release.Name }}
{{- end }}

{{/* Tells the pods of one revision from those of another. */}}
{{- define "service.hashLabel" -}}
{{- if include "service.isRollout" . }}rollouts-{{ end }}pod-template-hash
{{- end }}

{{/* How many pods there are at least. */}}
{{- define "service.fewestPods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled | int -}}
{{- end }}

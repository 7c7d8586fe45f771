{{- define "minga.name" -}}
{{- default (ternary .Release.Name (printf "%s-minga" .Release.Name) (contains "minga" .Release.Name)) .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "minga.selector" -}}
app.kubernetes.io/name: minga-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "minga.labels" -}}
{{ include "minga.selector" . }}
app.kubernetes.io/part-of: minga
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "minga.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "minga.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "minga.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* Annotations of what an upgrade of the definition needs, for as long as it takes. */ -}}
{{- define "minga.definitionHook" -}}
helm.sh/hook: pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- /* What the operator does to objects in the namespaces it watches: each verb is used, none else. */ -}}
{{- define "minga.rules" -}}
- apiGroups: [minga.dev]
  resources: [p2pnetworks]
  verbs: [list, watch]
- apiGroups: [minga.dev]
  resources: [p2pnetworks/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps, services, secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, patch]
- apiGroups: [apps]
  resources: [statefulsets, daemonsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rabbitmq.com]
  resources: [rabbitmqclusters]
  verbs: [get]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, prometheusrules]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}

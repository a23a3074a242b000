{{/* The objects' name: at most 40 characters, so that names with an ending stay below 63. */}}
{{- define "distillery.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $both .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods of a component; call with (list $ "operator"). These never change. */}}
{{- define "distillery.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object of a component; call with (list $ "operator"). */}}
{{- define "distillery.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "distillery" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- merge (include "distillery.selector" . | fromYaml) $own $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Reference of an image; call with (list $ .Values.image). */}}
{{- define "distillery.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := default $image.registry (($root.Values.global).imageRegistry) -}}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "distillery.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "distillery.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Secret with the database's URL; empty where there is none. */}}
{{- define "distillery.databaseSecret" -}}
{{- $name := printf "%s-database" (include "distillery.fullname" .) -}}
{{- if eq .Values.database.type "Secret" }}{{ .Values.database.secret.name }}
{{- else if eq .Values.database.type "CloudNativePG" }}{{ $name }}-app
{{- else if ne .Values.database.type "SQLite" }}{{ $name }}
{{- end }}
{{- end -}}

{{/* Environment variable with the database's URL. */}}
{{- define "distillery.database" -}}
- name: DISTILLERY_DATABASE_URL
{{- if eq .Values.database.type "SQLite" }}
  value: sqlite:////database
{{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ include "distillery.databaseSecret" . | quote }}
{{- if eq .Values.database.type "Secret" }}
      key: {{ .Values.database.secret.key | quote }}
{{- else if eq .Values.database.type "CloudNativePG" }}
      key: uri
{{- else }}
      key: url
{{- end }}
{{- end }}
{{- end -}}

{{/* Where the chart puts what trials need, as a JSON list. */}}
{{- define "distillery.namespaces" -}}
{{- default (default (list .Release.Namespace) .Values.watchNamespaces) .Values.trials.namespaces | uniq | toJson -}}
{{- end -}}

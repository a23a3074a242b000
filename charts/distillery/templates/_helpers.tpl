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

{{/* Labels of the pods of a component; call with (list $ "operator" .Values.podLabels). */}}
{{- define "distillery.podLabels" -}}
{{- $root := index . 0 -}}
{{- merge (include "distillery.selector" . | fromYaml) (index . 2) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Security context of the chart's own pods. */}}
{{- define "distillery.podSecurityContext" -}}
{{- $given := .Values.podSecurityContext -}}
{{- if .Values.openshift }}{{ $given = omit $given "runAsUser" "runAsGroup" "fsGroup" }}{{ end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* What lies below the template of every experiment, as JSON; nothing if that is empty. */}}
{{- define "distillery.template" -}}
{{- $made := dict -}}
{{- with .Values.commonLabels }}{{ $_ := set $made "metadata" (dict "labels" .) }}{{ end -}}
{{- $spec := dict -}}
{{- with .Values.trials.imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end -}}
{{- if .Values.openshift }}
{{- $_ := set $spec "securityContext" (dict "runAsUser" nil "runAsGroup" nil "fsGroup" nil) }}
{{- end -}}
{{- if $spec }}{{ $_ := set $made "spec" $spec }}{{ end -}}
{{- $whole := mergeOverwrite $made (deepCopy .Values.trials.template) -}}
{{- if $whole }}{{ toJson $whole }}{{ end -}}
{{- end -}}

{{/* Secret with the database's URL; none with SQLite. */}}
{{- define "distillery.databaseSecret" -}}
{{- $name := printf "%s-database" (include "distillery.fullname" .) -}}
{{- if eq .Values.database.type "Secret" }}{{ .Values.database.secret.name }}
{{- else if eq .Values.database.type "CloudNativePG" }}{{ $name }}-app
{{- else if eq .Values.database.type "Bundled" }}{{ $name }}
{{- end }}
{{- end -}}

{{/* Secrets and claims of the operator that no template of an experiment may name, as a JSON list. */}}
{{- define "distillery.private" -}}
{{- $claim := printf "%s-database" (include "distillery.fullname" .) -}}
{{- $names := list (include "distillery.databaseSecret" .) -}}
{{- if eq .Values.database.type "SQLite" }}
{{- $names = list (default $claim .Values.database.sqlite.existingClaim) }}
{{- else if eq .Values.database.type "Bundled" }}
{{- $names = append $names (printf "data-%s-0" $claim) }}
{{- end }}
{{- with .Values.optunaDashboard }}
{{- if and .enabled .secret.name }}{{ $names = append $names .secret.name }}{{ end }}
{{- end }}
{{- with .Values.metrics.tls.secretName }}{{ $names = append $names . }}{{ end }}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* Labels of the namespaces that are watched, as kubectl takes them; nothing without any. */}}
{{- define "distillery.watchSelector" -}}
{{- $made := list -}}
{{- range $key, $value := .Values.watchNamespaceSelector.matchLabels }}
{{- $made = append $made (printf "%s=%s" $key $value) }}
{{- end }}
{{- range .Values.watchNamespaceSelector.matchExpressions }}
{{- if has .operator (list "In" "NotIn") }}
{{- $made = append $made (printf "%s %s (%s)" .key (lower .operator) (join "," .values)) }}
{{- else }}
{{- $made = append $made (printf "%s%s" (ternary "" "!" (eq .operator "Exists")) .key) }}
{{- end }}
{{- end }}
{{- join "," $made -}}
{{- end -}}

{{/* Settings that do not fit together, each with a sentence. */}}
{{- define "distillery.check" -}}
{{- range .Values.trials.namespaces }}
{{- if and $.Values.watchNamespaces (not (has . $.Values.watchNamespaces)) }}
{{- fail (printf "trials.namespaces must be among watchNamespaces, but got %s: no operator would look at its experiments" .) }}
{{- end }}
{{- end }}
{{- if and .Values.watchNamespaces .Values.watchNamespaceSelector }}
{{- fail "watchNamespaces and watchNamespaceSelector exclude each other" }}
{{- end }}
{{- range .Values.rbac.readers }}
{{- if and (eq .kind "ServiceAccount") (not .namespace) }}
{{- fail (printf "rbac.readers: the ServiceAccount %s must have a namespace" .name) }}
{{- end }}
{{- end }}
{{- with .Values.optunaDashboard }}
{{- if .ingress.enabled }}
{{- if not .enabled }}
{{- fail "optunaDashboard.ingress must not be enabled without optunaDashboard.enabled" }}
{{- end }}
{{- if and $.Values.networkPolicy.enabled (not .allowFrom) }}
{{- fail "optunaDashboard.allowFrom must name the pods of the ingress controller: without it the network policy lets nobody in" }}
{{- end }}
{{- end }}
{{- end }}
{{- $both := list "containers" "imagePullSecrets" "nodeSelector" "securityContext" "tolerations" "volumes" }}
{{- $operator := list "affinity" "initContainers" "priorityClassName" "terminationGracePeriodSeconds" "topologySpreadConstraints" }}
{{- range list
  (list "podSpec" .Values.podSpec (concat $both $operator))
  (list "optunaDashboard.podSpec" .Values.optunaDashboard.podSpec $both)
  (list "test.podSpec" .Values.test.podSpec (list "containers" "initContainers")) }}
{{- $path := first . }}
{{- $taken := last . }}
{{- range $field, $_ := index . 1 }}
{{- if has $field $taken }}
{{- fail (printf "%s must not have %s, which the chart sets itself" $path $field) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.openshift (eq .Values.database.type "Bundled") }}
{{- fail "database.type must not be Bundled with openshift: its image runs as a user of its own" }}
{{- end }}
{{- if and .Values.metrics.tls.clientCertificates (not .Values.metrics.tls.secretName) }}
{{- fail "metrics.tls.clientCertificates needs metrics.tls.secretName" }}
{{- end }}
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

{{/* Environment variable that leads to the database: a file, for a password may change. */}}
{{- define "distillery.database" -}}
{{- if eq .Values.database.type "SQLite" }}
- {name: DISTILLERY_DATABASE_URL, value: "sqlite:////database"}
{{- else }}
- {name: DISTILLERY_DATABASE_URL_FILE, value: /database/url}
{{- end }}
{{- end -}}

{{/* Volume with the file of a database's URL; call with (list SECRET KEY). */}}
{{- define "distillery.urlVolume" -}}
- name: database
  secret:
    secretName: {{ index . 0 | quote }}
    items: [{key: {{ index . 1 | quote }}, path: url}]
{{- end -}}

{{/* Volume at /database: the file of the URL, or those of SQLite. */}}
{{- define "distillery.databaseVolume" -}}
{{- if eq .Values.database.type "SQLite" }}
- name: database
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-database" (include "distillery.fullname" .)) .Values.database.sqlite.existingClaim }}
{{- else }}
{{- $keys := dict "Secret" .Values.database.secret.key "CloudNativePG" "uri" "Bundled" "url" }}
{{- include "distillery.urlVolume" (list (include "distillery.databaseSecret" .) (get $keys .Values.database.type)) }}
{{- end }}
{{- end -}}

{{/* Egress rule of a NetworkPolicy that lets pods ask DNS servers. */}}
{{- define "distillery.dns" -}}
- ports: # 5353: where the DNS servers of OpenShift listen
  {{- range $port := list 53 5353 }}
  - {port: {{ $port }}, protocol: UDP}
  - {port: {{ $port }}, protocol: TCP}
  {{- end }}
  {{- with .Values.networkPolicy.dns }}
  to:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Egress rules of the operator and of the dashboard; nothing where they may reach everything. */}}
{{- define "distillery.operatorEgress" -}}
{{- with .Values.networkPolicy.operatorEgress }}
{{- include "distillery.dns" $ }}
- to:
  - namespaceSelector: {}
    podSelector:
      matchLabels: {app.kubernetes.io/managed-by: distillery}
  ports:
  - {port: metrics, protocol: TCP}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where the chart puts what trials need, as a JSON list. */}}
{{- define "distillery.namespaces" -}}
{{- default (default (list .Release.Namespace) .Values.watchNamespaces) .Values.trials.namespaces | uniq | toJson -}}
{{- end -}}

// Where the CustomResourceDefinitions of PodMonitor, ServiceMonitor and PrometheusRule come from.
module distillery.dev/monitoring

go 1.24.0

require github.com/prometheus-operator/prometheus-operator v0.85.0

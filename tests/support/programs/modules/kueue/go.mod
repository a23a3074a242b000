// Where the CustomResourceDefinitions of Kueue's queues come from.
module distillery.dev/kueue

go 1.26.0

require sigs.k8s.io/kueue v0.19.2

// Where the CustomResourceDefinition of Clusters of CloudNativePG comes from.
module distillery.dev/cloudnative-pg

go 1.26.0

require github.com/cloudnative-pg/cloudnative-pg v1.27.0

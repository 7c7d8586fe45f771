//go:build tools

// Package others keeps the modules required whose programs and definitions the tests use.
package others

import (
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	_ "github.com/rabbitmq/cluster-operator/v2"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)

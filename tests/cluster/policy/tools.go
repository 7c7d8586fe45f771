//go:build tools

// Package policy keeps the module required whose program enforces NetworkPolicy.
package policy

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"

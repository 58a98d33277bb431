//go:build crds

// Pins the module whose folder config/crd holds the Gateway API's CRDs.
package main

import _ "sigs.k8s.io/gateway-api/apis/v1"

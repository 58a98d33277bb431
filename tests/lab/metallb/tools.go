//go:build tools

// Names the upstream commands that the lab runs, so that go.mod pins what they need.
package metallb

import (
	_ "go.universe.tf/metallb/controller"
	_ "go.universe.tf/metallb/speaker"
)

// Package tools checks the deployment without a container engine: compose.yaml by the loader that compose itself uses,
// the Dockerfile by running the step that builds the program, and the dashboards by Grafana's own types.
//
// It is a module of its own, so that nobody who imports tactus gets their dependencies.
package tools

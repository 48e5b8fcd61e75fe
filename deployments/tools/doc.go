// Package tools checks the deployment without a container engine: compose.yaml by the loader that compose itself uses,
// and the Dockerfile by running the step that builds the program.
//
// It is a module of its own, so that nobody who imports tactus gets the loader's dependencies.
package tools

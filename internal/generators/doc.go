// Package generators holds the description of the API against the programs that are fed with it: redocly finds no
// error, and the clients that oapi-codegen and openapi-typescript generate compile and work. The programs are
// dependencies of this module alone.
package generators

import _ "github.com/oapi-codegen/runtime" // the generated client needs it

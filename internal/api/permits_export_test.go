package api

// Permits are the permits that the operations demand of a caller.
var Permits = permits

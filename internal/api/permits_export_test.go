package api

// Permits are what the operations demand of whoever calls them.
var Permits = permits

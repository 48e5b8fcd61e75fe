// Package matrix makes every effect fail in both ways: the effect does not happen, or it happens and its answer is
// lost.
//
// A proxy in front of the real server waits for the request that has the effect, drops the request or its answer, and
// then refuses all connections until the test has looked at the server. So each row proves that its fault is the one it
// names. Then the proxy lets everything through, and the row checks what must hold; package verify checks the rest.
package matrix

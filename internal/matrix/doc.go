// Package matrix has every effect fail in both ways: it does not happen, or it happens and the answer is lost.
//
// A proxy before the real server looks for the request that has the effect, loses that or its answer, and then refuses
// everything until the test has looked at the server: so each row shows that its fault was the one that it names. After
// that everything goes on, and the row says what must hold; package verify looks at the rest.
package matrix

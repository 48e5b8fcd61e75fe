package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// MessagePack's codes, as far as a map from strings to strings needs them
// (https://github.com/msgpack/msgpack/blob/master/spec.md).
const (
	packNil    = 0xc0
	packFixMap = 0x80 // to 0x8f: the low four bits count the pairs
	packMap16  = 0xde
	packMap32  = 0xdf
	packFixStr = 0xa0 // to 0xbf: the low five bits count the bytes
	packStr8   = 0xd9
	packStr16  = 0xda
	packStr32  = 0xdb
	packBin8   = 0xc4
	packBin16  = 0xc5
	packBin32  = 0xc6
)

// packMap encodes a map in the order of its keys. It encodes an empty map as no bytes at all, as the library does.
func packMap(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	b := packLen(nil, len(m), 16, packFixMap, 0, packMap16, packMap32)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = packString(packString(b, key), m[key])
	}
	return b
}

func packString(b []byte, s string) []byte {
	return append(packLen(b, len(s), 32, packFixStr, packStr8, packStr16, packStr32), s...)
}

// packLen appends a length: below the limit within the code fix itself, otherwise as a number of one, two or four bytes
// behind the code for that size. A zero code one means that there is no one-byte form.
func packLen(b []byte, n, limit int, fix, one, two, four byte) []byte {
	switch {
	case n < limit:
		return append(b, fix|byte(n))
	case n < 1<<8 && one != 0:
		return append(b, one, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, two), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, four), uint32(n))
	}
}

// unpackMap decodes a map whose keys and values are strings, bytes or nil, and ignores any bytes behind the map.
func unpackMap(packed string) (map[string]string, error) {
	u := unpacker{packed}
	n, err := u.mapLen()
	if err != nil {
		return nil, err
	}
	m := map[string]string{} // not of size n, which a broken entry may overstate
	for range n {
		key, err := u.string()
		if err != nil {
			return nil, err
		}
		if m[key], err = u.string(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// unpacker decodes one item after the other from the front of the bytes that are left.
type unpacker struct{ left string }

var errPackEnds = errors.New("the MessagePack is truncated")

func (u *unpacker) mapLen() (int, error) {
	code, err := u.number(1)
	switch {
	case err != nil:
		return 0, err
	case code == packNil:
		return 0, nil
	case code&0xf0 == packFixMap:
		return code & 0x0f, nil
	case code == packMap16:
		return u.number(2)
	case code == packMap32:
		return u.number(4)
	}
	return 0, fmt.Errorf("MessagePack has code %#x instead of a map", code)
}

func (u *unpacker) string() (string, error) {
	n, err := u.stringLen()
	if err != nil {
		return "", err
	}
	return u.take(n)
}

func (u *unpacker) stringLen() (int, error) {
	code, err := u.number(1)
	switch {
	case err != nil:
		return 0, err
	case code == packNil:
		return 0, nil
	case code&0xe0 == packFixStr:
		return code & 0x1f, nil
	case code == packStr8, code == packBin8:
		return u.number(1)
	case code == packStr16, code == packBin16:
		return u.number(2)
	case code == packStr32, code == packBin32:
		return u.number(4)
	}
	return 0, fmt.Errorf("MessagePack has code %#x instead of a string", code)
}

// number decodes a big-endian number of the given length in bytes.
func (u *unpacker) number(bytes int) (n int, err error) {
	taken, err := u.take(bytes)
	for _, b := range []byte(taken) {
		n = n<<8 | int(b)
	}
	return n, err
}

func (u *unpacker) take(n int) (string, error) {
	if n > len(u.left) {
		return "", errPackEnds
	}
	taken := u.left[:n]
	u.left = u.left[n:]
	return taken, nil
}

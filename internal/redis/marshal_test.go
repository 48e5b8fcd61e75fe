package redis

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

var library = redisstream.DefaultMarshallerUnmarshaller{}

// texts draws strings, among them strings of each length at which MessagePack changes the code.
func texts() *rapid.Generator[string] {
	lengths := rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 1<<16 - 1, 1 << 16})
	return rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string { return strings.Repeat("x", lengths.Draw(t, "length")) }))
}

// libraryFields returns the fields that the library writes for a message.
func libraryFields(t *rapid.T, m *message.Message) map[string]string {
	values, err := library.Marshal("", m)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for name, value := range values {
		switch value := value.(type) {
		case string:
			written[name] = value
		case []byte:
			written[name] = string(value)
		default:
			t.Fatalf("field %s is a %T", name, value)
		}
	}
	return written
}

// TestFieldsAreTheLibrarys checks that a message is written byte for byte as watermill-redisstream writes it. The
// library writes the pairs of a map in random order, so several pairs are compared by reading them back.
func TestFieldsAreTheLibrarys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := message.NewMessage(texts().Draw(t, "uuid"), []byte(texts().Draw(t, "payload")))
		m.Metadata = rapid.MapOfN(texts(), texts(), 0, 1).Draw(t, "metadata")
		f, err := marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{fieldUUID: f.uuid, fieldMetadata: string(f.metadata), fieldPayload: string(f.payload)}
		if diff := cmp.Diff(libraryFields(t, m), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEachReadsTheOther(t *testing.T) {
	t.Parallel()
	pairs := rapid.SampledFrom([]int{0, 1, 15, 16, 17, 300})
	rapid.Check(t, func(t *rapid.T) {
		m := message.NewMessage("id", []byte("payload"))
		n := pairs.Draw(t, "pairs")
		m.Metadata = rapid.MapOfN(rapid.String(), rapid.StringN(0, 40, -1), n, n).Draw(t, "metadata")
		f, err := marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		ours := map[string]any{fieldUUID: f.uuid, fieldMetadata: string(f.metadata), fieldPayload: string(f.payload)}
		theirs := map[string]any{}
		for name, value := range libraryFields(t, m) {
			theirs[name] = value
		}
		for writer, values := range map[string]map[string]any{"ours": ours, "the library": theirs} {
			read, err := unmarshal(goredis.XMessage{Values: values})
			if err != nil || !read.Equals(m) {
				t.Fatalf("we read the fields of %s as %v, %v", writer, read, err)
			}
			if read, err = library.Unmarshal(values); err != nil || !read.Equals(m) {
				t.Fatalf("the library reads the fields of %s as %v, %v", writer, read, err)
			}
		}
	})
}

// TestManyPairs has more pairs than fit into a two-byte count.
func TestManyPairs(t *testing.T) {
	t.Parallel()
	m := message.NewMessage("id", nil)
	for n := range 1<<16 + 1 {
		m.Metadata.Set(string(rune(n/256+1))+string(rune(n%256+1)), "")
	}
	f, err := marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	read, err := library.Unmarshal(map[string]any{fieldUUID: "id", fieldMetadata: string(f.metadata), fieldPayload: ""})
	if err != nil || len(read.Metadata) != 1<<16+1 {
		t.Errorf("the library reads %d pairs, %v", len(read.Metadata), err)
	}
	if read, err := unpackMap(string(f.metadata)); err != nil || len(read) != 1<<16+1 {
		t.Errorf("we read %d pairs, %v", len(read), err)
	}
}

func TestReservedMetadataIsRefused(t *testing.T) {
	t.Parallel()
	m := message.NewMessage("id", nil)
	m.Metadata.Set(fieldUUID, "another")
	if _, err := marshal(m); err == nil {
		t.Error("a message with a second UUID in its metadata was marshalled")
	}
}

// FuzzUnmarshal checks that an entry is read exactly as the library reads it, and refused where the library refuses it.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		"", "\xc0", "\x80", "\x81\xa1a\xa1b", "\x81\xc0\xc4\x01b", "\xde\x00\x01\xd9\x01a\xda\x00\x01b", "\xdf\x00\x00\x00\x01\xa1a\xc0",
		"\xdf\xff\xff\xff\xff", "\x81\xdb\xff\xff\xff\xffa", "\x81\xa1a", "\x81\xa5a", "\x93", "\x81\x01\xa1b", "\x80 and more",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, metadata string) {
		if len(metadata) > 0 && (metadata[0] >= 0xd4 && metadata[0] <= 0xd8 || metadata[0] >= 0xc7 && metadata[0] <= 0xc9) {
			t.Skip("the library ignores an extension header before a map, and no publisher writes one")
		}
		values := map[string]any{fieldUUID: "id", fieldMetadata: metadata, fieldPayload: "payload"}
		want, wantErr := library.Unmarshal(values)
		got, err := unmarshal(goredis.XMessage{Values: values})
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got error %v, the library's is %v", err, wantErr)
		}
		if err == nil && (!got.Equals(want) || got.Metadata == nil) {
			t.Errorf("got %v, the library reads %v", got, want)
		}
	})
}

// TestEntriesOfOthers reads entries that were not written by a Watermill publisher.
func TestEntriesOfOthers(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{
		"no UUID": {"payload": "p"}, "no payload": {fieldUUID: "id"}, "fields besides": {fieldUUID: "id", "payload": "p", "x": "y"},
	} {
		want, wantErr := library.Unmarshal(values)
		got, err := unmarshal(goredis.XMessage{Values: values})
		if (err == nil) != (wantErr == nil) || err == nil && !got.Equals(want) {
			t.Errorf("%s: read %v, %v; the library %v, %v", name, got, err, want, wantErr)
		}
	}
}

package jobstest

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/embedjobs/jobs"
)

var recordCases = []storeCase{
	{
		"records are set and removed",
		"Record returns nil when there is no record; SetRecord with nil removes it, with an empty value it does not.",
		func(ctx context.Context, s jobs.Store) error {
			for _, value := range [][]byte{nil, []byte("one"), {}, []byte("two"), nil, nil, {}, nil, []byte("x")} {
				err := s.Update(ctx, func(tx jobs.Tx) error {
					if err := tx.SetRecord("space", "key", value); err != nil {
						return err
					}
					return wantRecordIn(tx, "space", "key", value)
				})
				if err != nil {
					return err
				}
				if err := wantRecord(ctx, s, "space", "key", value); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"records have spaces",
		"A record belongs to its space; a space whose name begins like another's is another.",
		func(ctx context.Context, s jobs.Store) error {
			for _, space := range []string{"a", "ab", "b"} {
				if err := setRecord(ctx, s, space, "bkey", []byte(space)); err != nil {
					return err
				}
			}
			for _, space := range []string{"a", "ab", "b"} {
				if err := wantRecord(ctx, s, space, "bkey", []byte(space)); err != nil {
					return err
				}
				if err := wantKeys(ctx, s, space, "", "", "bkey"); err != nil {
					return err
				}
			}
			if err := wantRecord(ctx, s, "a", "key", nil); err != nil {
				return err
			}
			return wantKeys(ctx, s, "none", "", "")
		},
	},
	{
		"records are in the order of their keys",
		"Records returns the records of a space whose key begins with prefix and is not less than from, in the order of their keys' bytes. A key is any string of at most 1,000 bytes.",
		func(ctx context.Context, s jobs.Store) error {
			long := strings.Repeat("z", 1000)
			keys := []string{"", "\x00", "\x00\x00", "a", "a\x00", "aa", "ab", "b", "b\xff", "b\xff\xff", "c", long, "é", "\xff", "\xff\xff"}
			for i := range keys {
				key := keys[i*7%len(keys)]
				if err := setRecord(ctx, s, "space", key, []byte(key)); err != nil {
					return err
				}
			}
			for _, prefix := range append(keys, "none", "a\x00\x00") {
				for _, from := range append(keys, "none", "aaa") {
					var want []string
					for _, key := range keys {
						if strings.HasPrefix(key, prefix) && key >= from {
							want = append(want, key)
						}
					}
					if err := wantKeys(ctx, s, "space", prefix, from, want...); err != nil {
						return err
					}
				}
			}
			err := setRecord(ctx, s, "space", long+"z", []byte("x"))
			return wantError("SetRecord with a key of 1,001 bytes", err, jobs.ErrInvalid)
		},
	},
	{
		"a transaction sees its own records",
		"Inside Update, Record and Records see what the transaction has set and removed.",
		func(ctx context.Context, s jobs.Store) error {
			for _, key := range []string{"a", "b", "c"} {
				if err := setRecord(ctx, s, "space", key, []byte(key)); err != nil {
					return err
				}
			}
			err := s.Update(ctx, func(tx jobs.Tx) error {
				for key, value := range map[string][]byte{"b": nil, "bb": []byte("bb"), "c": []byte("C")} {
					if err := tx.SetRecord("space", key, value); err != nil {
						return err
					}
					if err := wantRecordIn(tx, "space", key, value); err != nil {
						return err
					}
				}
				if err := wantKeysIn(tx, "space", "", "", "a", "bb", "c"); err != nil {
					return err
				}
				// Again, after they were listed.
				if err := tx.SetRecord("space", "bb", nil); err != nil {
					return err
				}
				return wantKeysIn(tx, "space", "", "", "a", "c")
			})
			if err != nil {
				return err
			}
			if err := wantRecord(ctx, s, "space", "c", []byte("C")); err != nil {
				return err
			}
			return wantKeys(ctx, s, "space", "", "", "a", "c")
		},
	},
	{
		"records may be changed in a loop",
		"A record may be changed or removed while the iteration runs; all others appear.",
		func(ctx context.Context, s jobs.Store) error {
			return s.Update(ctx, func(tx jobs.Tx) error {
				const n = 500
				key := func(i int) string { return fmt.Sprintf("key%04d", i) }
				for i := range n {
					if err := tx.SetRecord("space", key(i), []byte("v")); err != nil {
						return err
					}
				}
				i := 0
				for r, err := range tx.Records("space", "", "") {
					if err != nil {
						return err
					}
					if r.Key != key(i) {
						return fmt.Errorf("record %d is %q, want %q", i, r.Key, key(i))
					}
					value := []byte("changed")
					if i%2 == 0 {
						value = nil
					}
					if err := tx.SetRecord("space", r.Key, value); err != nil {
						return err
					}
					if i%50 == 10 { // another loop inside
						if _, err := collect(tx.Records("space", "key01", "")); err != nil {
							return err
						}
					}
					i++
				}
				list, err := collect(tx.Records("space", "", ""))
				if err != nil {
					return err
				}
				if i != n || len(list) != n/2 {
					return fmt.Errorf("%d records were listed and %d are left, want %d and %d", i, len(list), n, n/2)
				}
				return nil
			})
		},
	},
}

func wantKeys(ctx context.Context, s jobs.Store, space, prefix, from string, want ...string) error {
	return s.View(ctx, func(tx jobs.Tx) error { return wantKeysIn(tx, space, prefix, from, want...) })
}

func wantKeysIn(tx jobs.Tx, space, prefix, from string, want ...string) error {
	list, err := collect(tx.Records(space, prefix, from))
	if err != nil {
		return err
	}
	var got []string
	for _, r := range list {
		got = append(got, r.Key)
		value, err := tx.Record(space, r.Key)
		if err != nil {
			return err
		}
		if string(value) != string(r.Value) {
			return fmt.Errorf("record %q is %q in the list and %q on its own", r.Key, r.Value, value)
		}
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		return fmt.Errorf("records of space %q with prefix %q from %q are %q, want %q", space, prefix, from, got, want)
	}
	return nil
}
